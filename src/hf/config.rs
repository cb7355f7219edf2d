//! A transformers `config.json` as a `ModelConfig`.

use crate::config::{Activation, ModelConfig, NormPlacement, Positions, Recipe};
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// A model family of transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bert,
    Roberta,
    ModernBert,
}

impl Family {
    /// The family that computes what a config describes, if there is one.
    pub fn of(config: &ModelConfig) -> Option<Family> {
        let bert = config.norm == NormPlacement::Post
            && config.bias
            && config.positions == Positions::Learned
            && config.activation == Activation::Gelu
            && config.token_types > 0
            && !config.final_norm
            && config.head_transform
            && config.decoder_bias
            && config.window == 0;
        let modern = config.norm == NormPlacement::Pre
            && !config.first_attention_norm
            && config.positions == Positions::Rope
            && config.activation == Activation::GatedGelu
            && config.token_types == 0
            && config.final_norm
            // Without a transform the head is written as one that changes nothing: see `names::constants`.
            && (config.head_transform || !config.bias)
            && config.window.is_multiple_of(2);
        match (bert, modern, config.position_offset) {
            _ if !config.embedding_norm => None,
            (true, _, 0) => Some(Family::Bert),
            (true, _, _) => Some(Family::Roberta),
            (_, true, _) => Some(Family::ModernBert),
            _ => None,
        }
    }
}

/// What the families have in common; the rest is read by family.
#[derive(Deserialize)]
struct Common {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default = "default_range")]
    initializer_range: f64,
}

#[derive(Deserialize)]
struct Bert {
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "bert_eps")]
    layer_norm_eps: f64,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    hidden_dropout_prob: f64,
    #[serde(default)]
    attention_probs_dropout_prob: f64,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

#[derive(Deserialize)]
struct Modern {
    #[serde(default = "gelu")]
    hidden_activation: String,
    #[serde(default = "gelu")]
    classifier_activation: String,
    #[serde(default = "modern_eps")]
    norm_eps: f64,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    classifier_bias: bool,
    #[serde(default = "yes")]
    decoder_bias: bool,
    #[serde(default)]
    attention_dropout: f64,
    #[serde(default)]
    mlp_dropout: f64,
    #[serde(default = "three")]
    global_attn_every_n_layers: usize,
    #[serde(default = "local_window")]
    local_attention: usize,
    /// transformers 4.
    global_rope_theta: Option<f64>,
    /// transformers 4.
    local_rope_theta: Option<f64>,
    /// transformers 5.
    rope_parameters: Option<RopeParameters>,
}

#[derive(Deserialize)]
struct RopeParameters {
    full_attention: Rope,
    sliding_attention: Rope,
}

#[derive(Deserialize)]
struct Rope {
    rope_theta: f64,
}

fn yes() -> bool {
    true
}

fn gelu() -> String {
    "gelu".into()
}

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

fn local_window() -> usize {
    128
}

fn default_range() -> f64 {
    0.02
}

fn bert_eps() -> f64 {
    1e-12
}

fn modern_eps() -> f64 {
    1e-5
}

/// Reads a transformers `config.json`; `path` is for messages.
///
/// # Errors
/// The family or one of its options is not one that Cloze computes, or the sizes are impossible.
pub fn read(path: &Path, json: &[u8]) -> Result<(Family, ModelConfig)> {
    let refuse = |problem: String| Error::file(path, problem);
    let common: Common = parse(path, json)?;
    let (family, config) = match common.model_type.as_str() {
        "bert" => (Family::Bert, bert(path, json, &common, 0)?),
        "roberta" => {
            let options: Bert = parse(path, json)?;
            let offset = options.pad_token_id.unwrap_or(1).saturating_add(1);
            (Family::Roberta, bert(path, json, &common, offset)?)
        }
        "modernbert" => (Family::ModernBert, modern(path, json, &common)?),
        other => {
            let problem = format!("model_type `{other}` is not one that Cloze computes: bert, roberta, modernbert");
            return Err(refuse(problem));
        }
    };
    if config.vocab_size == 0 {
        return Err(refuse("vocab_size is 0".into()));
    }
    config.check().map_err(|error| refuse(error.to_string()))?;
    Ok((family, config))
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, json: &'a [u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::file(path, error.to_string()))
}

fn bert(path: &Path, json: &[u8], common: &Common, offset: usize) -> Result<ModelConfig> {
    let options: Bert = parse(path, json)?;
    require(path, "hidden_act", &options.hidden_act, "gelu")?;
    let positions = options.position_embedding_type.as_deref().unwrap_or("absolute");
    require(path, "position_embedding_type", positions, "absolute")?;
    let max_positions = common.max_position_embeddings.checked_sub(offset).filter(|&most| most > 0);
    let max_positions = max_positions.ok_or_else(|| {
        Error::file(path, format!("max_position_embeddings {} leaves no position", common.max_position_embeddings))
    })?;
    Ok(ModelConfig {
        norm: NormPlacement::Post,
        first_attention_norm: true,
        bias: true,
        positions: Positions::Learned,
        position_offset: offset,
        max_positions,
        activation: Activation::Gelu,
        token_types: options.type_vocab_size,
        final_norm: false,
        head_transform: true,
        norm_eps: options.layer_norm_eps,
        dropout: options.hidden_dropout_prob,
        attention_dropout: options.attention_probs_dropout_prob,
        ..base(common, Recipe::Bert)
    })
}

fn modern(path: &Path, json: &[u8], common: &Common) -> Result<ModelConfig> {
    let options: Modern = parse(path, json)?;
    require(path, "hidden_activation", &options.hidden_activation, "gelu")?;
    require(path, "classifier_activation", &options.classifier_activation, "gelu")?;
    let biases = [options.norm_bias, options.attention_bias, options.mlp_bias, options.classifier_bias];
    if biases.iter().any(|&bias| bias != biases[0]) {
        return Err(Error::file(path, "norm, attention, mlp and classifier must all have biases, or none of them"));
    }
    let (global, local) = match &options.rope_parameters {
        Some(rope) => (Some(rope.full_attention.rope_theta), Some(rope.sliding_attention.rope_theta)),
        None => (options.global_rope_theta, options.local_rope_theta),
    };
    Ok(ModelConfig {
        norm: NormPlacement::Pre,
        first_attention_norm: false,
        bias: biases[0],
        positions: Positions::Rope,
        rope_base: global.unwrap_or(160_000.0),
        rope_local_base: local.unwrap_or(10_000.0),
        activation: Activation::GatedGelu,
        token_types: 0,
        final_norm: true,
        head_transform: true,
        decoder_bias: options.decoder_bias,
        norm_eps: options.norm_eps,
        scaled_output_init: true,
        window: options.local_attention,
        global_every: options.global_attn_every_n_layers,
        dropout: options.mlp_dropout,
        attention_dropout: options.attention_dropout,
        ..base(common, Recipe::Modern)
    })
}

/// The sizes, with the options of a plain BERT.
fn base(common: &Common, recipe: Recipe) -> ModelConfig {
    ModelConfig {
        recipe,
        vocab_size: common.vocab_size,
        layers: common.num_hidden_layers,
        hidden_size: common.hidden_size,
        heads: common.num_attention_heads,
        intermediate_size: common.intermediate_size,
        norm: NormPlacement::Post,
        first_attention_norm: true,
        bias: true,
        positions: Positions::Learned,
        rope_base: 10_000.0,
        rope_local_base: 10_000.0,
        position_offset: 0,
        max_positions: common.max_position_embeddings,
        activation: Activation::Gelu,
        token_types: 0,
        embedding_norm: true,
        final_norm: false,
        head_transform: true,
        tied_decoder: common.tie_word_embeddings,
        decoder_bias: true,
        norm_eps: 1e-12,
        initializer_range: common.initializer_range,
        scaled_output_init: false,
        window: 0,
        global_every: 1,
        dropout: 0.0,
        attention_dropout: 0.0,
    }
}

fn require(path: &Path, key: &str, found: &str, needed: &str) -> Result<()> {
    if found == needed {
        return Ok(());
    }
    Err(Error::file(path, format!("{key} is `{found}`, and Cloze computes `{needed}` only")))
}
