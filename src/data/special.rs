//! The special tokens of a tokenizer.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Ids of the five special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// Fills what is left of a sequence.
    pub pad: u32,
    /// Begins a document.
    pub cls: u32,
    /// Ends a document.
    pub sep: u32,
    /// Stands for a token to guess.
    pub mask: u32,
    /// Stands for text that the vocabulary can't spell.
    pub unk: u32,
}

/// Names in the order of the fields: BERT's (ModernBERT has the same) and RoBERTa's.
const CONVENTIONS: [[&str; 5]; 2] =
    [["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"], ["<pad>", "<s>", "</s>", "<mask>", "<unk>"]];

/// What a tokenizer calls its special tokens, where it does not follow a convention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialNames {
    pub pad: Option<String>,
    pub cls: Option<String>,
    pub sep: Option<String>,
    pub mask: Option<String>,
    pub unk: Option<String>,
}

impl SpecialNames {
    /// The names in the files that transformers puts beside a `tokenizer.json`: `special_tokens_map.json`, then
    /// `tokenizer_config.json`. Empty if there are none.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn beside(tokenizer: &Path) -> Result<Self> {
        let mut names = SpecialNames::default();
        for file in ["special_tokens_map.json", "tokenizer_config.json"] {
            let path = tokenizer.with_file_name(file);
            if path.exists() {
                names.fill(&std::fs::read(&path).map_err(Error::io(&path))?, &path)?;
            }
        }
        Ok(names)
    }

    /// Takes the names that are not known yet from such a file; `path` is for messages.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn fill(&mut self, json: &[u8], path: &Path) -> Result<()> {
        let json: Value = serde_json::from_slice(json)
            .map_err(|error| Error::file(path, format!("is not a tokenizer's settings: {error}")))?;
        // A token is a string, or an object that has it as its content.
        let name = |key: &str| {
            let token = &json[key];
            token.as_str().or_else(|| token["content"].as_str()).map(String::from)
        };
        for (field, keys) in [
            (&mut self.pad, &["pad_token"][..]),
            (&mut self.cls, &["cls_token", "bos_token"]),
            (&mut self.sep, &["sep_token", "eos_token"]),
            (&mut self.mask, &["mask_token"]),
            (&mut self.unk, &["unk_token"]),
        ] {
            if field.is_none() {
                *field = keys.iter().find_map(|key| name(key));
            }
        }
        Ok(())
    }

    /// The names, with those of a convention for names that are not given.
    fn or<'a>(&'a self, convention: &'a [&'a str; 5]) -> [&'a str; 5] {
        let given = [&self.pad, &self.cls, &self.sep, &self.mask, &self.unk];
        std::array::from_fn(|at| given[at].as_deref().unwrap_or(convention[at]))
    }
}

impl SpecialTokens {
    /// Looks up `names`, or those of one convention if they are not given, by `id`; or says which are missing.
    pub(super) fn resolve(names: &SpecialNames, id: impl Fn(&str) -> Option<u32>) -> Result<Self, String> {
        for names in CONVENTIONS.iter().map(|convention| names.or(convention)) {
            if let [Some(pad), Some(cls), Some(sep), Some(mask), Some(unk)] = names.map(&id) {
                return match [pad, cls, sep, unk].contains(&mask) {
                    true => Err(format!("its mask token `{}` stands for something else as well", names[3])),
                    false => Ok(SpecialTokens { pad, cls, sep, mask, unk }),
                };
            }
        }
        let missing = |convention: &[&str; 5]| -> Vec<String> {
            names.or(convention).iter().filter(|name| id(name).is_none()).map(|name| name.to_string()).collect()
        };
        let closest = CONVENTIONS.iter().map(missing).min_by_key(Vec::len).unwrap_or_default();
        Err(format!(
            "the vocabulary has no {}: a masked language model needs {} or {}",
            closest.join(", "),
            CONVENTIONS[0].join(" "),
            CONVENTIONS[1].join(" ")
        ))
    }

    /// The five ids: pad, cls, sep, mask, unk.
    pub fn ids(&self) -> [u32; 5] {
        [self.pad, self.cls, self.sep, self.mask, self.unk]
    }

    /// Whether `id` is one of the five.
    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        self.ids().contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(id: impl Fn(&str) -> Option<u32>) -> Result<SpecialTokens, String> {
        SpecialTokens::resolve(&SpecialNames::default(), id)
    }

    #[test]
    fn both_conventions_and_a_clear_word_about_what_is_missing() {
        let among = |names: &'static [&str]| {
            move |name: &str| names.iter().position(|other| *other == name).map(|index| index as u32)
        };
        let bert = resolve(among(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])).unwrap();
        assert_eq!(bert, SpecialTokens { pad: 0, cls: 2, sep: 3, mask: 4, unk: 1 });
        let roberta = resolve(among(&["<s>", "<pad>", "</s>", "<unk>", "<mask>"])).unwrap();
        assert_eq!(roberta, SpecialTokens { pad: 1, cls: 0, sep: 2, mask: 4, unk: 3 });

        let message = resolve(among(&["<s>", "<pad>", "</s>", "[CLS]"])).unwrap_err();
        assert!(message.starts_with("the vocabulary has no <mask>, <unk>:"), "{message}");
    }
    #[test]
    fn names_of_its_own() {
        let mut names = SpecialNames::default();
        let path = Path::new("special_tokens_map.json");
        names.fill(br#"{"mask_token": {"content": "<gap>", "lstrip": true}, "bos_token": "<go>"}"#, path).unwrap();
        names.fill(br#"{"mask_token": "[MASK]", "cls_token": "[CLS]", "eos_token": "<end>"}"#, path).unwrap();
        let all = ["<gap>", "<go>", "<end>", "<pad>", "<unk>", "[MASK]"];
        let id = |name: &str| all.iter().position(|other| *other == name).map(|at| at as u32);
        let specials = SpecialTokens::resolve(&names, id).unwrap();
        assert_eq!(specials, SpecialTokens { mask: 0, cls: 1, sep: 2, pad: 3, unk: 4 });

        names.mask = Some("<hole>".into());
        let message = SpecialTokens::resolve(&names, id).unwrap_err();
        assert!(message.starts_with("the vocabulary has no <hole>:"), "{message}");
        names.mask = Some("<end>".into());
        let message = SpecialTokens::resolve(&names, id).unwrap_err();
        assert!(message.contains("`<end>` stands for something else"), "{message}");
        let message = names.fill(b"{", path).unwrap_err().to_string();
        assert!(message.starts_with("special_tokens_map.json: is not a tokenizer's settings"), "{message}");
    }
}
