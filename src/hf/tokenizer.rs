//! The tokenizer of a model's folder: its `tokenizer.json`, or one made from the vocabulary files of older models.

use crate::data::{SpecialNames, Tokenizer, TokenizerConfig};
use crate::{Error, Result, files};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The classes of transformers that read a `vocab.txt` as BERT's does, without the suffix Fast.
const WORDPIECE: [&str; 5] =
    ["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "ConvBertTokenizer", "MobileBertTokenizer"];
/// The classes that read `vocab.json` and `merges.txt` as RoBERTa's does, and put the same special tokens around a text.
const BYTE_LEVEL: [&str; 3] = ["RobertaTokenizer", "BartTokenizer", "LongformerTokenizer"];

/// Reads the tokenizer of a folder, and applies the files beside it as transformers does.
///
/// # Errors
/// There is no tokenizer, or a file is damaged or asks for something that is not supported.
pub fn open(folder: &Path) -> Result<Tokenizer> {
    let whole = folder.join("tokenizer.json");
    if whole.exists() {
        return Tokenizer::load(whole);
    }
    let (vocab_txt, vocab_json) = (folder.join("vocab.txt"), folder.join("vocab.json"));
    let names = SpecialNames::beside(&whole)?;
    let config = TokenizerConfig::beside(&whole)?;
    let (origin, mut json) = if vocab_txt.exists() {
        config.require_class(&WORDPIECE, "vocab.txt")?;
        let codes = folder.join("bpe.codes");
        if codes.exists() {
            let problem =
                "is of a tokenizer that no version of transformers turns into a tokenizer.json; Cloze does not read it";
            return Err(Error::file(codes, problem));
        }
        (vocab_txt.clone(), wordpiece(tokens(&vocab_txt)?, &config, &names))
    } else if vocab_json.exists() {
        config.require_class(&BYTE_LEVEL, "vocab.json")?;
        let vocab: Map<String, Value> = serde_json::from_str(&text(&vocab_json)?)
            .map_err(|error| Error::file(&vocab_json, format!("is not a vocabulary: {error}")))?;
        refuse_word_ends(&vocab, &vocab_json)?;
        let json = byte_level(vocab, &text(&folder.join("merges.txt"))?, &config, &names);
        (vocab_json, json)
    } else {
        let problem = "has no tokenizer.json, nor vocab.txt, nor vocab.json and merges.txt; save the tokenizer there \
                       with transformers' AutoTokenizer";
        return Err(Error::file(folder, problem));
    };
    config.add_tokens(&mut json, true)?;
    let json = serde_json::to_vec_pretty(&json).expect("a JSON value can be written");
    Tokenizer::from_bytes_with(json, names, origin)
}

/// The tokens of a `vocab.txt` with their ids, one token per line. As in the tokenizers library, white space at the end of a
/// line is removed. Empty lines count, but are no tokens.
fn tokens(path: &Path) -> Result<Map<String, Value>> {
    let text = text(path)?;
    let mut vocab = Map::new();
    let mut trimmed = Vec::new();
    for (line, id) in text.lines().zip(0u32..) {
        let token = line.trim_end();
        if token.is_empty() {
            continue;
        }
        if token.len() < line.len() {
            trimmed.push(format!("{} (`{token}`)", id + 1));
        }
        vocab.insert(token.to_string(), id.into());
    }
    if let [first, ..] = &trimmed[..] {
        log::warn!(
            "{}: {} lines end in white space, the first is line {first}; it is dropped, as transformers 5 does (transformers 4 \
             keeps it, and never finds such a token)",
            path.display(),
            trimmed.len()
        );
    }
    Ok(vocab)
}

/// Refuses the vocabulary of a BPE that marks where words end. A byte-level BPE marks where they begin.
fn refuse_word_ends(vocab: &Map<String, Value>, path: &Path) -> Result<()> {
    let marked: Vec<&String> = vocab.keys().filter(|token| token.ends_with("</w>")).collect();
    match marked[..] {
        // A single such token may come from the text itself.
        [_, token, ..] => {
            let problem = format!(
                "its tokens mark the ends of words (`{token}`), and Cloze reads byte-level vocabularies; save the tokenizer \
                 with transformers' AutoTokenizer, which writes a tokenizer.json"
            );
            Err(Error::file(path, problem))
        }
        _ => Ok(()),
    }
}

/// BERT's tokenizer from the tokens of `vocab.txt`.
fn wordpiece(vocab: Map<String, Value>, config: &TokenizerConfig, names: &SpecialNames) -> Value {
    let name = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.into());
    let (cls, sep) = (name(&names.cls, "[CLS]"), name(&names.sep, "[SEP]"));
    let (unk, mask, pad) = (name(&names.unk, "[UNK]"), name(&names.mask, "[MASK]"), name(&names.pad, "[PAD]"));
    json!({
        "version": "1.0",
        "added_tokens": added(&vocab, &[&pad, &unk, &cls, &sep, &mask], None),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": config.flag("tokenize_chinese_chars").unwrap_or(true),
            "strip_accents": config.flag("strip_accents"),
            "lowercase": config.flag("do_lower_case").unwrap_or(true),
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
fn byte_level(vocab: Map<String, Value>, merges: &str, config: &TokenizerConfig, names: &SpecialNames) -> Value {
    let merges: Vec<&str> = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty()).collect();
    let name = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.into());
    let (cls, sep) = (name(&names.cls, "<s>"), name(&names.sep, "</s>"));
    let (unk, mask, pad) = (name(&names.unk, "<unk>"), name(&names.mask, "<mask>"), name(&names.pad, "<pad>"));
    let add_prefix_space = config.flag("add_prefix_space").unwrap_or(false);
    json!({
        "version": "1.0",
        // The mask takes the space before it, like the word that it stands for.
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

/// A post-processor that puts a text between two tokens; none if the vocabulary lacks one of them, which is reported later.
fn around(vocab: &Map<String, Value>, cls: &String, sep: &String, mut processor: Value) -> Value {
    match (vocab.get(cls), vocab.get(sep)) {
        (Some(cls_id), Some(sep_id)) => {
            (processor["cls"], processor["sep"]) = (json!([cls, cls_id]), json!([sep, sep_id]));
            processor
        }
        _ => Value::Null,
    }
}

/// The special tokens as a `tokenizer.json` lists them, by id. Those that the vocabulary lacks are reported later.
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

/// The text of a UTF-8 file, without the byte-order mark that it may begin with, since no token has one.
fn text(path: &Path) -> Result<String> {
    let text = String::from_utf8(files::read(path)?).map_err(|_| Error::file(path, "is not UTF-8"))?;
    Ok(text.strip_prefix('\u{FEFF}').map(String::from).unwrap_or(text))
}
