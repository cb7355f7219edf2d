//! The files that transformers puts beside a tokenizer, as far as they change its ids. What they say is merged into the
//! `tokenizer.json`, or refused by its key.

use super::added_tokens::{AddedTokens, names};
use crate::{Error, Result, files};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// Classes that split words in Python code, which no `tokenizer.json` describes.
const PYTHON: [&str; 3] = ["BertJapaneseTokenizer", "BertweetTokenizer", "PhobertTokenizer"];
/// Classes that use a `tokenizer.json` as it is, and ignore the options of other classes.
const GENERIC: [&str; 2] = ["PreTrainedTokenizer", "TokenizersBackend"];

/// Options that are true, false or null.
const FLAGS: [&str; 6] = [
    "do_lower_case",
    "strip_accents",
    "tokenize_chinese_chars",
    "add_prefix_space",
    "do_basic_tokenize",
    "split_special_tokens",
];

/// BERT's options, and what its normaliser calls them in a `tokenizer.json`.
const NORMALIZER: [(&str, &str); 3] = [
    ("do_lower_case", "lowercase"),
    ("strip_accents", "strip_accents"),
    ("tokenize_chinese_chars", "handle_chinese_chars"),
];

/// `tokenizer_config.json` and the files beside it. Options that are not supported have been refused.
pub struct TokenizerConfig {
    path: PathBuf,
    options: Map<String, Value>,
    /// The tokenizer's class without the ending Fast, and the file that names it.
    class: Option<(String, PathBuf)>,
}

impl TokenizerConfig {
    /// Reads the files in the folder of `tokenizer`. Without any, there are no options.
    ///
    /// # Errors
    /// A file is damaged, or asks for something that is not supported.
    pub fn beside(tokenizer: &Path) -> Result<Self> {
        let path = tokenizer.with_file_name(TOKENIZER_CONFIG);
        let options = object(&path)?.unwrap_or_default();
        let model = tokenizer.with_file_name("config.json");
        // If config.json is not an object, whoever reads the model reports it.
        let of_model = object(&model).ok().flatten().unwrap_or_default();
        let named = |options: &Map<String, Value>, path: &Path| {
            let class = options.get("tokenizer_class")?.as_str()?;
            Some((class.strip_suffix("Fast").unwrap_or(class).to_string(), path.to_path_buf()))
        };
        let class = named(&options, &path).or_else(|| named(&of_model, &model));
        let config = TokenizerConfig { path, options, class };
        config.check()?;
        Ok(config)
    }

    /// An option that is true or false, where it is given.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.options.get(key).and_then(Value::as_bool)
    }

    /// Refuses options that the tokenizers library does not support, by their keys.
    fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::file(&self.path, problem));
        for key in FLAGS {
            if let Some(value) = self.options.get(key).filter(|value| !value.is_boolean() && !value.is_null()) {
                return refuse(format!("{key} is {value}; it must be true or false"));
            }
        }
        for (key, usual) in [("word_tokenizer_type", "basic"), ("subword_tokenizer_type", "wordpiece")] {
            if let Some(kind) = self.options.get(key).and_then(Value::as_str).filter(|&kind| kind != usual) {
                return refuse(format!("{key} is `{kind}`, and Cloze splits as `{usual}` does only"));
            }
        }
        for key in ["never_split", "fast_tokenizer_files"] {
            if let Some(value) = self.options.get(key).filter(|value| !is_empty(value)) {
                return refuse(format!(
                    "{key} is {value}, which Cloze does not obey; remove it if it makes no difference"
                ));
            }
        }
        if self.options.get("auto_map").and_then(|map| map.get("AutoTokenizer")).is_some_and(|code| !is_empty(code)) {
            return refuse(
                "auto_map has an AutoTokenizer: text is split by code of its own, which Cloze does not run".into(),
            );
        }
        if self.flag("do_basic_tokenize") == Some(false) {
            return refuse("do_basic_tokenize is false, and Cloze computes BERT's tokenizer with it only".into());
        }
        if self.flag("split_special_tokens") == Some(true) {
            return refuse(
                "split_special_tokens is true: the mask would be no token in a text; set it to false".into(),
            );
        }
        match &self.class {
            Some((class, path)) if PYTHON.contains(&class.as_str()) => {
                let problem = format!("tokenizer_class is `{class}`, which splits words by Python code of its own");
                Err(Error::file(path, problem + "; Cloze reads what the tokenizers library computes"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a class that is none of `classes`, which read the vocabulary in `file`. No class at all is accepted.
    ///
    /// # Errors
    /// The class is another one; or there are options that replace what these classes put around a text.
    pub fn require_class(&self, classes: &[&str], file: &str) -> Result<()> {
        if let Some((class, path)) = self.class.as_ref().filter(|(class, _)| !classes.contains(&class.as_str())) {
            let problem = format!(
                "tokenizer_class is `{class}`, and Cloze reads a {file} as `{}` does; save the tokenizer with transformers' \
                 AutoTokenizer, which writes a tokenizer.json",
                classes[0]
            );
            return Err(Error::file(path, problem));
        }
        match ["add_bos_token", "add_eos_token"].into_iter().find(|key| self.options.contains_key(*key)) {
            Some(key) => {
                let problem = format!("{key} is given, and transformers 4 and 5 differ on it here; remove it");
                Err(Error::file(&self.path, problem))
            }
            None => Ok(()),
        }
    }

    /// A `tokenizer.json` that gives the ids which transformers gets from it and these files; `origin` names it in errors.
    ///
    /// # Errors
    /// It contradicts these files.
    pub fn complete(&self, json: Vec<u8>, origin: &Path) -> Result<Vec<u8>> {
        // If it is no tokenizer at all, whoever makes one of it reports that.
        let Ok(mut tokenizer @ Value::Object(_)) = serde_json::from_slice(&json) else { return Ok(json) };
        let mut changed = self.normalize(&mut tokenizer);
        changed |= self.prefix_space(&mut tokenizer, origin)?;
        changed |= self.add_tokens(&mut tokenizer, false)?;
        match changed {
            true => Ok(serde_json::to_vec_pretty(&tokenizer).expect("a JSON value can be written")),
            false => Ok(json),
        }
    }

    /// Merges the tokens that the files list into those of a `tokenizer.json`, and returns whether that changes it. A
    /// `tokenizer.json` that was made `from_vocabulary` files takes the properties of its special tokens from here.
    ///
    /// # Errors
    /// A file is damaged, or gives a token another id.
    pub fn add_tokens(&self, tokenizer: &mut Value, from_vocabulary: bool) -> Result<bool> {
        let mut tokens = AddedTokens::of(tokenizer);
        if let Some(Value::Object(listed)) = self.options.get("added_tokens_decoder") {
            let listed = listed.iter().map(|(id, token)| (id.parse().ok(), token.clone())).collect();
            let bad = |problem| Error::file(&self.path, format!("added_tokens_decoder: {problem}"));
            tokens.list(listed, true).map_err(bad)?;
            tokens.name(&self.options, false);
            return Ok(tokens.put_into(tokenizer));
        }
        let map = object(&self.path.with_file_name("special_tokens_map.json"))?.unwrap_or_default();
        let path = self.path.with_file_name("added_tokens.json");
        let listed = object(&path)?.unwrap_or_default().into_iter().map(|(token, id)| {
            let special = names(&map, &token) || names(&self.options, &token);
            (id.as_u64(), json!({ "content": token, "special": special, "normalized": !special }))
        });
        tokens.list(listed.collect(), false).map_err(|problem| Error::file(&path, problem))?;
        tokens.name(&map, from_vocabulary);
        tokens.name(&self.options, from_vocabulary);
        Ok(tokens.put_into(tokenizer))
    }

    /// Applies the options to BERT's normaliser.
    fn normalize(&self, tokenizer: &mut Value) -> bool {
        let given = NORMALIZER.iter().filter(|(key, _)| self.options.contains_key(*key));
        let mut given = given.map(|&(key, name)| (key, name, &self.options[key])).peekable();
        if self.is_generic() || given.peek().is_none() {
            return false;
        }
        let normalizer = &mut tokenizer["normalizer"];
        if normalizer["type"] != "BertNormalizer" {
            log::warn!(
                "{}: {} is given, and the normalizer of tokenizer.json is no BertNormalizer; it is taken as it is, and \
                 transformers 5 replaces it",
                self.path.display(),
                given.map(|(key, _, _)| key).collect::<Vec<_>>().join(", ")
            );
            return false;
        }
        let mut changed = false;
        for (_, name, value) in given {
            if value.is_boolean() || name == "strip_accents" {
                changed |= normalizer[name] != *value;
                normalizer[name] = value.clone();
            }
        }
        changed
    }

    /// Sets whether a byte-level tokenizer puts a space before a text, as the option says.
    fn prefix_space(&self, tokenizer: &mut Value, origin: &Path) -> Result<bool> {
        let Some(wanted) = self.flag("add_prefix_space") else { return Ok(false) };
        let first = &mut tokenizer["pre_tokenizer"];
        if first["type"] != "ByteLevel" || first["add_prefix_space"] == wanted {
            return Ok(false);
        }
        if self.is_generic() {
            let problem = format!(
                "its pre_tokenizer has add_prefix_space = {}, and {TOKENIZER_CONFIG} {wanted}; transformers 4 and 5 differ on \
                 that, so set them alike",
                first["add_prefix_space"]
            );
            return Err(Error::file(origin, problem));
        }
        first["add_prefix_space"] = wanted.into();
        Ok(true)
    }

    fn is_generic(&self) -> bool {
        self.class.as_ref().is_some_and(|(class, _)| GENERIC.contains(&class.as_str()))
    }
}

/// A JSON object from a file, which may begin with a byte-order mark; `None` if there is no file.
fn object(path: &Path) -> Result<Option<Map<String, Value>>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = files::read(path)?;
    let json = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let object = serde_json::from_slice(json);
    object.map(Some).map_err(|error| Error::file(path, format!("is not a tokenizer's settings: {error}")))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(Value::is_null),
        _ => false,
    }
}
