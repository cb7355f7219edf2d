//! Reads from a sentence-transformers folder how text embeddings are made: modules.json and the files that it names.

use crate::data::Tokenizer;
use crate::model::embedder::Pooling;
use crate::{Error, Result, files};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const MODULES: &str = "modules.json";
/// Has the prompt, which is put before every text.
const SETTINGS: &str = "config_sentence_transformers.json";
/// Lies beside the model's own config.json.
const TRANSFORMER: &str = "sentence_bert_config.json";

/// Keys of 1_Pooling/config.json that older versions write in place of `pooling_mode`.
const POOLING_FLAGS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The settings of a folder.
#[derive(Debug)]
pub struct SentenceModel {
    /// The folder of the model itself.
    pub transformer: PathBuf,
    pub pooling: Pooling,
    /// Whether vectors are normalized to length 1.
    pub normalize: bool,
    /// Most tokens of a text, if there is a limit.
    pub max_length: Option<usize>,
    /// The text that is put before every other.
    pub prompt: String,
    lower_case: bool,
}

impl SentenceModel {
    /// Reads the modules of a folder; `None` if it has none.
    ///
    /// # Errors
    /// A file is damaged, or asks for something that Cloze does not compute.
    pub fn open(folder: &Path) -> Result<Option<SentenceModel>> {
        let path = folder.join(MODULES);
        if !path.exists() {
            return Ok(None);
        }
        let modules = match read(&path)? {
            Value::Array(modules) => modules,
            _ => return Err(Error::file(&path, "is not a list of modules")),
        };
        let kinds = modules.iter().map(kind).collect::<Result<Vec<_>, _>>().map_err(|p| Error::file(&path, p))?;
        let [("Transformer", transformer), ("Pooling", pooling), rest @ ..] = &kinds[..] else {
            let list = kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ");
            let problem =
                format!("its modules are {list}; Cloze computes a Transformer, a Pooling and what may follow");
            return Err(Error::file(path, problem));
        };
        let transformer = inside(folder, transformer, &path)?;
        let pooling = read_pooling(&inside(folder, pooling, &path)?.join("config.json"))?;
        let mut normalize = false;
        for (kind, place) in rest {
            match *kind {
                "Normalize" => normalize |= normalizes(&inside(folder, place, &path)?.join("config.json"))?,
                // It does nothing outside of training.
                "Dropout" => {}
                other => {
                    let problem =
                        format!("has a module {other}, and Cloze computes Transformer, Pooling and Normalize");
                    return Err(Error::file(path, problem));
                }
            }
        }
        let (max_length, lower_case) = read_transformer(&transformer)?;
        let prompt = read_prompt(&folder.join(SETTINGS))?;
        Ok(Some(SentenceModel { transformer, pooling, normalize, max_length, prompt, lower_case }))
    }

    /// The model's tokenizer as these modules use it.
    ///
    /// # Errors
    /// It is not usable with lower-casing.
    pub fn tokenizer(&self, tokenizer: Tokenizer) -> Result<Tokenizer> {
        if !self.lower_case {
            return Ok(tokenizer);
        }
        let origin = self.transformer.join("tokenizer.json");
        let mut json: Value = serde_json::from_slice(tokenizer.json())
            .map_err(|error| Error::file(&origin, format!("is not JSON: {error}")))?;
        let before = json["normalizer"].take();
        let mut normalizers = vec![json!({ "type": "Lowercase" })];
        normalizers.extend(Some(before).filter(|normalizer| !normalizer.is_null()));
        json["normalizer"] = json!({ "type": "Sequence", "normalizers": normalizers });
        let json = serde_json::to_vec(&json).expect("a JSON value can be written");
        Tokenizer::from_bytes_with(json, tokenizer.special_names().clone(), origin)
    }
}

/// The class of a module and where its files lie.
fn kind(module: &Value) -> Result<(&str, &str), String> {
    let (Some(class), Some(place)) = (module["type"].as_str(), module["path"].as_str()) else {
        return Err(format!("{module} is not a module: it needs a `type` and a `path`"));
    };
    match class.strip_prefix("sentence_transformers.").and_then(|class| class.rsplit('.').next()) {
        Some(kind) => Ok((kind, place)),
        None => Err(format!("has a module `{class}`, which is code of its own, and Cloze does not run it")),
    }
}

/// The folder of a module, which must lie inside the model's.
fn inside(folder: &Path, place: &str, modules: &Path) -> Result<PathBuf> {
    let is_name = |part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir);
    match Path::new(place).components().all(is_name) {
        true => Ok(folder.join(place)),
        false => {
            Err(Error::file(modules, format!("names the path `{place}`; a module lies in the model's own folder")))
        }
    }
}

fn read_pooling(path: &Path) -> Result<Pooling> {
    let options = object(path)?;
    if options.get("include_prompt") == Some(&Value::Bool(false)) {
        return Err(Error::file(path, "include_prompt is false, and Cloze pools over a prompt as well"));
    }
    let flagged = POOLING_FLAGS.iter().filter(|(key, _)| options.get(*key) == Some(&Value::Bool(true)));
    let modes: Vec<&str> = match options.get("pooling_mode") {
        Some(Value::Array(modes)) => modes.iter().map(|mode| mode.as_str().unwrap_or_default()).collect(),
        Some(mode) => vec![mode.as_str().unwrap_or_default()],
        None => flagged.map(|(_, mode)| *mode).collect(),
    };
    match modes[..] {
        ["mean"] | [] => Ok(Pooling::Mean),
        ["cls"] => Ok(Pooling::Cls),
        _ => Err(Error::file(path, format!("pools by {}, and Cloze by cls or by mean", modes.join(" and ")))),
    }
}

/// Whether a module Normalize scales the vector of a text.
fn normalizes(path: &Path) -> Result<bool> {
    let options = object(path)?;
    for key in ["module_input_name", "module_output_name"] {
        if let Some(name) = options.get(key).filter(|name| !name.is_null() && **name != "sentence_embedding") {
            return Err(Error::file(path, format!("{key} is {name}, and Cloze normalises `sentence_embedding` only")));
        }
    }
    Ok(true)
}

/// Most tokens of a text, and whether it is turned into lower case first.
fn read_transformer(folder: &Path) -> Result<(Option<usize>, bool)> {
    let path = folder.join(TRANSFORMER);
    let options = object(&path)?;
    for key in ["tokenizer_name_or_path", "tokenizer_args", "processor_kwargs", "processing_kwargs", "query_expansion"]
    {
        if let Some(value) = options.get(key).filter(|value| !is_empty(value)) {
            return Err(Error::file(path, format!("{key} is {value}, which Cloze does not obey")));
        }
    }
    for (key, usual) in [("module_output_name", "token_embeddings"), ("transformer_task", "feature-extraction")] {
        if let Some(value) = options.get(key).filter(|value| !value.is_null() && **value != usual) {
            return Err(Error::file(path, format!("{key} is {value}, and Cloze computes `{usual}` only")));
        }
    }
    let lower_case = match options.get("do_lower_case") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(lower_case)) => *lower_case,
        Some(other) => return Err(Error::file(path, format!("do_lower_case is {other}; it must be true or false"))),
    };
    let of_tokenizer = folder.join("tokenizer_config.json");
    let tokenizer = object(&of_tokenizer)?;
    if tokenizer.get("truncation_side").is_some_and(|side| side != "right" && !side.is_null()) {
        let problem = "truncation_side is not `right`, and Cloze cuts long texts at their end";
        return Err(Error::file(of_tokenizer, problem));
    }
    let length = |options: &Map<String, Value>, key: &str| options.get(key).and_then(Value::as_f64);
    let length = length(&options, "max_seq_length").or_else(|| length(&tokenizer, "model_max_length"));
    match length {
        Some(length) if length < 2.0 => {
            let problem = format!("a text may have {length} tokens at most, and [CLS] and [SEP] are two");
            Err(Error::file(path, problem))
        }
        // The library writes a huge number for no limit; `as` stops at the largest of a usize.
        length => Ok((length.map(|length| length as usize), lower_case)),
    }
}

/// The prompt, which is put before every text.
fn read_prompt(path: &Path) -> Result<String> {
    let options = object(path)?;
    if let Some(width) = options.get("truncate_dim").filter(|width| !width.is_null()) {
        return Err(Error::file(path, format!("truncate_dim is {width}, and Cloze gives whole vectors only")));
    }
    let Some(name) = options.get("default_prompt_name").and_then(Value::as_str) else { return Ok(String::new()) };
    match options.get("prompts").and_then(|prompts| prompts[name].as_str()) {
        Some(prompt) => Ok(prompt.to_string()),
        None => Err(Error::file(path, format!("default_prompt_name is `{name}`, which prompts does not have"))),
    }
}

/// The options in a file; empty if there is no file.
fn object(path: &Path) -> Result<Map<String, Value>> {
    match path.exists() {
        false => Ok(Map::new()),
        true => match read(path)? {
            Value::Object(options) => Ok(options),
            _ => Err(Error::file(path, "holds no options: it is not an object")),
        },
    }
}

fn read(path: &Path) -> Result<Value> {
    let bytes = files::read(path)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::file(path, format!("is not JSON: {error}")))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
