//! A model as transformers reads it: `config.json`, `model.safetensors` and the tokenizer's files.

use super::family::Family;
use super::names::{decoder_bias_copy, fixed, source};
use super::weights_dtype::WeightsDtype;
use crate::data::Tokenizer;
use crate::model::ModelConfig;
use crate::model::weights::Entry;
use crate::tasks::{self, Task, TaskKind};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The key of `config.json` that holds the exact `ModelConfig`; transformers ignores it.
pub const OWN: &str = "cloze";

/// The key inside it that holds the training task, if that is not masked language modelling.
pub const TASK: &str = "task";

/// The family that computes a task's model with a tokenizer. In transformers, RoBERTa's first position is the padding token's
/// id plus one, so the model and the tokenizer must agree.
///
/// # Errors
/// The keys of `[model]` that keep the closest family from computing it.
pub fn family(task: &dyn Task, tokenizer: &Tokenizer) -> Result<Family, String> {
    let (config, pad) = (task.config(), tokenizer.specials().pad);
    match Family::of(config) {
        Some(family) if task.architecture(family.model_type()).is_none() => {
            Err(format!("transformers has no class of {} for task.kind = \"{}\"", family.model_type(), task.kind()))
        }
        Some(Family::Roberta) if config.position_offset != pad as usize + 1 => Err(format!(
            "model.position_offset is {}, and roberta needs {}, the number after the padding token's",
            config.position_offset,
            pad + 1
        )),
        Some(family) => Ok(family),
        None => {
            let (family, misfits) = Family::closest(config);
            let own = serde_json::to_value(config).expect("a struct of numbers and names is always JSON");
            let list = misfits.iter().map(|misfit| {
                format!(
                    "model.{} is {}, and {} needs {}",
                    misfit.key,
                    own[misfit.key],
                    family.model_type(),
                    misfit.needed
                )
            });
            Err(list.collect::<Vec<_>>().join("; "))
        }
    }
}

/// `config.json` for weights of this type. A model that no family computes gets the model_type "cloze", which
/// transformers refuses.
pub fn config(task: &dyn Task, tokenizer: &Tokenizer, precision: WeightsDtype) -> Vec<u8> {
    let (config, specials) = (task.config(), tokenizer.specials());
    let family = family(task, tokenizer).ok();
    let mut fields = fields(config, family);
    if let Some(architecture) = family.and_then(|family| task.architecture(family.model_type())) {
        fields.insert("architectures".into(), json!([architecture]));
    }
    let mut own = serde_json::to_value(config).expect("a struct of numbers and names is always JSON");
    if task.kind() != TaskKind::default() {
        own[TASK] = task.kind().name().into();
    }
    for (key, value) in [
        ("pad_token_id", specials.pad.into()),
        ("bos_token_id", specials.cls.into()),
        ("eos_token_id", specials.sep.into()),
        ("dtype", precision.torch_name().into()),
        ("initializer_range", config.initializer_range.into()),
        (OWN, own),
    ] {
        fields.insert(key.into(), value);
    }
    pretty(&Value::Object(fields))
}

/// The keys of a `config.json` that determine what is computed.
fn fields(config: &ModelConfig, family: Option<Family>) -> Map<String, Value> {
    let common = json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": config.tied_decoder,
    });
    let more = match family {
        Some(Family::Bert) => bert(config, "bert", config.max_positions),
        Some(Family::Roberta) => bert(config, "roberta", config.max_positions + config.position_offset),
        Some(Family::ModernBert) => modernbert(config),
        None => json!({ "model_type": "cloze" }),
    };
    let mut fields = Map::new();
    for part in [common, more] {
        if let Value::Object(part) = part {
            fields.extend(part);
        }
    }
    fields
}

/// The first key of a `config.json` that contradicts the exact config in its section `cloze`. There is one if the file was
/// changed after Cloze wrote it.
pub fn contradiction(config: &ModelConfig, json: &Value) -> Option<String> {
    // Dropout rates may differ. So may the ids of special tokens, except for the padding token's, which RoBERTa counts
    // positions from.
    let is_free = |key: &str| key.contains("dropout") || key.ends_with("_token_id");
    let family = Family::of(config).filter(|family| json["model_type"] == family.model_type());
    let pad = json.get("pad_token_id").and_then(Value::as_u64);
    if family == Some(Family::Roberta) && pad.is_some_and(|pad| pad + 1 != config.position_offset as u64) {
        return Some("pad_token_id".into());
    }
    let differs = |(key, own): &(String, Value)| {
        !is_free(key) && json.get(key).is_some_and(|found| !found.is_null() && !same(found, own))
    };
    fields(config, family).into_iter().find(differs).map(|(key, _)| key)
}

/// Equality in which 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            b.iter().all(|(key, value)| a.get(key).is_some_and(|other| same(other, value)))
        }
        _ => a == b || a.as_f64().is_some_and(|a| Some(a) == b.as_f64()),
    }
}

fn bert(config: &ModelConfig, model_type: &str, positions: usize) -> Value {
    json!({
        "model_type": model_type,
        "max_position_embeddings": positions,
        "hidden_act": "gelu",
        "layer_norm_eps": config.norm_eps,
        "type_vocab_size": config.type_vocab_size,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "position_embedding_type": "absolute",
    })
}

fn modernbert(config: &ModelConfig) -> Value {
    // In transformers, ModernBERT always has a window. A model without one gets a window that covers everything.
    let (window, every) = match config.sliding_window {
        0 => (2 * config.max_positions, 1),
        window => (window, config.global_every),
    };
    let layer = |number: usize| if number.is_multiple_of(every) { "full_attention" } else { "sliding_attention" };
    json!({
        "model_type": "modernbert",
        "hidden_activation": "gelu",
        "classifier_activation": if config.head_transform { "gelu" } else { "linear" },
        "norm_eps": config.norm_eps,
        "norm_bias": config.bias,
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "classifier_bias": config.bias,
        "decoder_bias": config.decoder_bias,
        "attention_dropout": config.attention_dropout,
        "mlp_dropout": config.dropout,
        "embedding_dropout": config.dropout,
        "local_attention": window,
        "global_attn_every_n_layers": every,
        "layer_types": (0..config.layers).map(layer).collect::<Vec<_>>(),
        "global_rope_theta": config.rope_base,
        "local_rope_theta": config.rope_local_base,
        "rope_parameters": {
            "full_attention": { "rope_type": "default", "rope_theta": config.rope_base },
            "sliding_attention": { "rope_type": "default", "rope_theta": config.rope_local_base },
        },
        "cls_token_id": Value::Null,
        "sep_token_id": Value::Null,
    })
}

/// A tensor as it will lie in a file.
pub struct Named<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Cow<'a, [f32]>,
}

/// A tensor of a family's files, and where its values come from.
pub struct Placed {
    pub entry: Entry,
    pub source: Source,
}

pub enum Source {
    /// Values of the parameter with this number, from its value `start` on.
    Parameter { number: usize, start: usize },
    /// Fixed values, which belong to no parameter.
    Fixed(Vec<f32>),
}

/// The tensors of a family's files; without a family, under our own names.
pub fn layout(task: &dyn Task) -> Vec<Placed> {
    let config = task.config();
    let family = Family::of(config);
    let mut tensors = Vec::new();
    for (number, parameter) in tasks::parameters(task).iter().enumerate() {
        let named = family.and_then(|family| source(family, task, &parameter.name));
        let names = named.map_or_else(|| vec![parameter.name.clone()], |source| source.tensors);
        let mut shape = parameter.shape.clone();
        shape[0] /= names.len();
        let count: usize = shape.iter().product();
        for (part, name) in names.into_iter().enumerate() {
            let source = Source::Parameter { number, start: part * count };
            tensors.push(Placed { entry: Entry { name, shape: shape.clone() }, source });
        }
        let copy = family.and_then(decoder_bias_copy).filter(|_| parameter.name == "decoder.bias");
        if let Some(name) = copy.filter(|_| !config.tied_decoder) {
            let source = Source::Parameter { number, start: 0 };
            tensors.push(Placed { entry: Entry { name: name.into(), shape }, source });
        }
    }
    for tensor in family.map(|family| fixed(family, config)).unwrap_or_default() {
        let source = Source::Fixed(tensor.values());
        tensors.push(Placed { entry: Entry { name: tensor.name.into(), shape: tensor.shape }, source });
    }
    tensors
}

/// The tensors of a family's files with their values, which are in the order of `tasks::parameters`.
pub fn tensors<'a>(task: &dyn Task, values: &'a [Vec<f32>]) -> Vec<Named<'a>> {
    let named = |Placed { entry: Entry { name, shape }, source }| {
        let values = match source {
            Source::Parameter { number, start } => (&values[number][start..][..shape.iter().product()]).into(),
            Source::Fixed(values) => values.into(),
        };
        Named { name, shape, values }
    };
    layout(task).into_iter().map(named).collect()
}

/// `tokenizer_config.json` and `special_tokens_map.json`, which stand beside `tokenizer.json`.
pub fn tokenizer_files(config: &ModelConfig, tokenizer: &Tokenizer) -> [(&'static str, Vec<u8>); 2] {
    let specials = tokenizer.specials();
    let token = |id| tokenizer.token(id).unwrap_or_default();
    let names = json!({
        "pad_token": token(specials.pad),
        "cls_token": token(specials.cls),
        "sep_token": token(specials.sep),
        "mask_token": token(specials.mask),
        "unk_token": token(specials.unk),
    });
    let mut settings = names.clone();
    settings["tokenizer_class"] = "PreTrainedTokenizerFast".into();
    settings["model_max_length"] = config.max_positions.into();
    // Without `token_type_ids`, transformers takes the second text of a pair for the first.
    settings["model_input_names"] = match config.type_vocab_size {
        0 | 1 => json!(["input_ids", "attention_mask"]),
        _ => json!(["input_ids", "token_type_ids", "attention_mask"]),
    };
    [("tokenizer_config.json", pretty(&settings)), ("special_tokens_map.json", pretty(&names))]
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("a JSON value can be written");
    json.push(b'\n');
    json
}
