//! A model as transformers reads it: `config.json`, `model.safetensors` and the tokenizer's files.

use super::config::Family;
use super::names::{fixed, source};
use crate::config::ModelConfig;
use crate::data::Tokenizer;
use crate::model::parameters::Declaration;
use crate::model::weights::{bytes, serialize};
use serde_json::{Map, Value, json};

/// The key of `config.json` under which the exact `ModelConfig` lies; transformers passes over it.
pub const OWN: &str = "cloze";

/// `config.json`. A model that no family computes gets the model_type "cloze", which transformers refuses.
pub fn config(config: &ModelConfig, tokenizer: &Tokenizer) -> Vec<u8> {
    let family = Family::of(config);
    let mut fields = common(config, tokenizer);
    let more = match family {
        Some(Family::Bert) => bert(config, "BertForMaskedLM", "bert", config.max_positions),
        Some(Family::Roberta) => {
            bert(config, "RobertaForMaskedLM", "roberta", config.max_positions + config.position_offset)
        }
        Some(Family::ModernBert) => modernbert(config),
        None => json!({ "model_type": "cloze" }),
    };
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    fields.insert(OWN.into(), serde_json::to_value(config).expect("a struct of numbers and names is always JSON"));
    pretty(&Value::Object(fields))
}

fn common(config: &ModelConfig, tokenizer: &Tokenizer) -> Map<String, Value> {
    let specials = tokenizer.specials();
    let fields = json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_positions,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": config.tied_decoder,
        "pad_token_id": specials.pad,
        "bos_token_id": specials.cls,
        "eos_token_id": specials.sep,
        "dtype": "float32",
    });
    match fields {
        Value::Object(fields) => fields,
        _ => unreachable!("the literal above is an object"),
    }
}

fn bert(config: &ModelConfig, architecture: &str, model_type: &str, positions: usize) -> Value {
    json!({
        "architectures": [architecture],
        "model_type": model_type,
        "max_position_embeddings": positions,
        "hidden_act": "gelu",
        "layer_norm_eps": config.norm_eps,
        "type_vocab_size": config.token_types,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "position_embedding_type": "absolute",
    })
}

fn modernbert(config: &ModelConfig) -> Value {
    // transformers has no ModernBERT without a window: one as long as the model sees everything.
    let (window, every) = match config.window {
        0 => (2 * config.max_positions, 1),
        window => (window, config.global_every),
    };
    let layer = |number: usize| if number.is_multiple_of(every) { "full_attention" } else { "sliding_attention" };
    json!({
        "architectures": ["ModernBertForMaskedLM"],
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

/// `model.safetensors` of a family; without one, our own names. `values` are in the order of `list`.
pub fn weights(config: &ModelConfig, list: &[Declaration], values: &[Vec<f32>]) -> Vec<u8> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let family = Family::of(config);
    for (parameter, values) in list.iter().zip(values) {
        let named = family.and_then(|family| source(family, config, &parameter.name));
        let names = named.map_or_else(|| vec![parameter.name.clone()], |source| source.tensors);
        let mut shape = parameter.shape.clone();
        shape[0] /= names.len();
        let parts = values.chunks_exact(values.len() / names.len());
        tensors.extend(names.iter().zip(parts).map(|(name, part)| (name.clone(), shape.clone(), bytes(part))));
    }
    for tensor in family.map(|family| fixed(family, config)).unwrap_or_default() {
        tensors.push((tensor.name.to_string(), tensor.shape.clone(), bytes(&tensor.values())));
    }
    serialize(&tensors)
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
    settings["model_input_names"] = json!(["input_ids", "attention_mask"]);
    [("tokenizer_config.json", pretty(&settings)), ("special_tokens_map.json", pretty(&names))]
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("a JSON value can be written");
    json.push(b'\n');
    json
}
