//! The tokenizer of a model's folder: its `tokenizer.json`, or one made from the vocabulary files of older models.

use crate::data::{SpecialNames, Tokenizer};
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Reads the tokenizer of a folder. `special_tokens_map.json` and `tokenizer_config.json` name its special tokens where
/// they are there.
///
/// # Errors
/// There is none, or a file is damaged.
pub fn open(folder: &Path) -> Result<Tokenizer> {
    let whole = folder.join("tokenizer.json");
    if whole.exists() {
        return Tokenizer::load(whole);
    }
    let (vocab_txt, vocab_json) = (folder.join("vocab.txt"), folder.join("vocab.json"));
    let names = SpecialNames::beside(&whole)?;
    let (origin, json) = if vocab_txt.exists() {
        let json = wordpiece(&text(&vocab_txt)?, &settings(folder)?, &names);
        (vocab_txt, json)
    } else if vocab_json.exists() {
        let vocab: Map<String, Value> = serde_json::from_str(&text(&vocab_json)?)
            .map_err(|error| Error::file(&vocab_json, format!("is not a vocabulary: {error}")))?;
        let json = byte_level(vocab, &text(&folder.join("merges.txt"))?, &settings(folder)?, &names);
        (vocab_json, json)
    } else {
        let problem = "has no tokenizer.json, nor vocab.txt, nor vocab.json and merges.txt; save the tokenizer there \
                       with transformers' AutoTokenizer";
        return Err(Error::file(folder, problem));
    };
    let added = folder.join("added_tokens.json");
    if added.exists() {
        let problem = "holds tokens beside the vocabulary; save the tokenizer with transformers' AutoTokenizer, which \
                       writes a tokenizer.json";
        return Err(Error::file(added, problem));
    }
    let json = serde_json::to_vec_pretty(&json).expect("a JSON value can be written");
    Tokenizer::from_bytes_with(json, names, origin)
}

/// BERT's tokenizer from `vocab.txt`, which has a token a line.
fn wordpiece(text: &str, settings: &Value, names: &SpecialNames) -> Value {
    let ids = text.lines().zip(0u32..).map(|(token, id)| (token.trim_end().to_string(), id.into()));
    let vocab: Map<String, Value> = ids.collect();
    let name = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.into());
    let (cls, sep) = (name(&names.cls, "[CLS]"), name(&names.sep, "[SEP]"));
    let (unk, mask, pad) = (name(&names.unk, "[UNK]"), name(&names.mask, "[MASK]"), name(&names.pad, "[PAD]"));
    let flag = |key: &str| settings.get(key).and_then(Value::as_bool);
    json!({
        "version": "1.0",
        "added_tokens": added(&vocab, &[&pad, &unk, &cls, &sep, &mask], None),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars").unwrap_or(true),
            "strip_accents": flag("strip_accents"),
            "lowercase": flag("do_lower_case").unwrap_or(true),
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": around(&vocab, &cls, &sep, json!({ "type": "BertProcessing" })),
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    })
}

/// RoBERTa's tokenizer from `vocab.json` and `merges.txt`.
fn byte_level(vocab: Map<String, Value>, merges: &str, settings: &Value, names: &SpecialNames) -> Value {
    let merges: Vec<&str> = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty()).collect();
    let name = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.into());
    let (cls, sep) = (name(&names.cls, "<s>"), name(&names.sep, "</s>"));
    let (unk, mask, pad) = (name(&names.unk, "<unk>"), name(&names.mask, "<mask>"), name(&names.pad, "<pad>"));
    let add_prefix_space = settings.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
    json!({
        "version": "1.0",
        // The mask takes the space before it, as the words do for which it stands.
        "added_tokens": added(&vocab, &[&cls, &pad, &sep, &unk, &mask], Some(&mask)),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true
        },
        "post_processor": around(
            &vocab,
            &cls,
            &sep,
            json!({ "type": "RobertaProcessing", "trim_offsets": true, "add_prefix_space": add_prefix_space }),
        ),
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "vocab": vocab,
            "merges": merges,
        },
    })
}

/// A post-processor that puts a text between two tokens; none where the vocabulary lacks one, which is told of later.
fn around(vocab: &Map<String, Value>, cls: &String, sep: &String, mut processor: Value) -> Value {
    match (vocab.get(cls), vocab.get(sep)) {
        (Some(cls_id), Some(sep_id)) => {
            (processor["cls"], processor["sep"]) = (json!([cls, cls_id]), json!([sep, sep_id]));
            processor
        }
        _ => Value::Null,
    }
}

/// The special tokens as a `tokenizer.json` lists them, by id; those that the vocabulary lacks are told of later.
fn added(vocab: &Map<String, Value>, names: &[&String], takes_space: Option<&String>) -> Vec<Value> {
    let mut tokens: Vec<(u64, &String)> =
        names.iter().filter_map(|name| Some((vocab.get(*name)?.as_u64()?, *name))).collect();
    tokens.sort();
    tokens.dedup();
    let token = |(id, name): (u64, &String)| {
        json!({
            "id": id, "content": name, "special": true, "normalized": false, "single_word": false, "rstrip": false,
            "lstrip": takes_space == Some(name),
        })
    };
    tokens.into_iter().map(token).collect()
}

/// `tokenizer_config.json`, where there is one.
fn settings(folder: &Path) -> Result<Value> {
    let path = folder.join("tokenizer_config.json");
    if !path.exists() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text(&path)?).map_err(|error| Error::file(&path, format!("is not JSON: {error}")))
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io(path))
}
