//! The special tokens of a tokenizer.

use serde::{Deserialize, Serialize};

/// Ids of the five tokens that are no text.
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

impl SpecialTokens {
    /// Resolves the names of one convention through `id`, or says which names are missing.
    pub(super) fn resolve(id: impl Fn(&str) -> Option<u32>) -> Result<Self, String> {
        for names in CONVENTIONS {
            if let [Some(pad), Some(cls), Some(sep), Some(mask), Some(unk)] = names.map(&id) {
                return Ok(SpecialTokens { pad, cls, sep, mask, unk });
            }
        }
        let missing =
            |names: [&'static str; 5]| names.into_iter().filter(|name| id(name).is_none()).collect::<Vec<_>>();
        let closest = CONVENTIONS.map(missing).into_iter().min_by_key(Vec::len).unwrap_or_default();
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

    #[test]
    fn both_conventions_and_a_clear_word_about_what_is_missing() {
        let among = |names: &'static [&str]| {
            move |name: &str| names.iter().position(|other| *other == name).map(|index| index as u32)
        };
        let bert = SpecialTokens::resolve(among(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])).unwrap();
        assert_eq!(bert, SpecialTokens { pad: 0, cls: 2, sep: 3, mask: 4, unk: 1 });
        let roberta = SpecialTokens::resolve(among(&["<s>", "<pad>", "</s>", "<unk>", "<mask>"])).unwrap();
        assert_eq!(roberta, SpecialTokens { pad: 1, cls: 0, sep: 2, mask: 4, unk: 3 });

        let message = SpecialTokens::resolve(among(&["<s>", "<pad>", "</s>", "[CLS]"])).unwrap_err();
        assert!(message.starts_with("the vocabulary has no <mask>, <unk>:"), "{message}");
    }
}
