//! Reads a transformers `config.json` as a `ModelConfig`. A key that asks for arithmetic which Cloze does not have is refused
//! by its name; `unsupported.rs` has the keys that no model of ours may have.

use super::family::Family;
use super::unsupported;
use crate::model::{Activation, ModelConfig, NormPlacement, Positions, Recipe};
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The keys that all families have.
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

/// Keys of BERT and RoBERTa. Missing keys get the defaults of transformers.
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
    #[serde(default = "tenth")]
    hidden_dropout_prob: f64,
    #[serde(default = "tenth")]
    attention_probs_dropout_prob: f64,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

/// Keys of ModernBERT. Our `dropout` applies to the embeddings and to the end of both branches of a layer. ModernBERT's
/// applies to the embeddings and inside the feed-forward layer, so `mlp_dropout` comes nearest to ours.
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
    global_attn_every_n_layers: Option<usize>,
    /// transformers 5 uses this; transformers 4 ignores it.
    layer_types: Option<Vec<String>>,
    #[serde(default = "local_window")]
    local_attention: usize,
    /// Only in transformers 5.
    rope_parameters: Option<RopeParameters>,
}

#[derive(Deserialize)]
struct RopeParameters {
    full_attention: Option<Rope>,
    sliding_attention: Option<Rope>,
}

#[derive(Deserialize)]
struct Rope {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
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

fn local_window() -> usize {
    128
}

fn default_range() -> f64 {
    0.02
}

fn tenth() -> f64 {
    0.1
}

fn bert_eps() -> f64 {
    1e-12
}

fn modern_eps() -> f64 {
    1e-5
}

/// Distance from one global layer to the next, if a config does not say.
const GLOBAL_EVERY: usize = 3;
const GLOBAL_THETA: f64 = 160_000.0;
const LOCAL_THETA: f64 = 10_000.0;

/// Reads a transformers `config.json`; `path` is for messages.
///
/// # Errors
/// The family or one of its options is not one that Cloze computes, or the sizes are impossible.
pub fn read(path: &Path, json: &Value) -> Result<(Family, ModelConfig)> {
    let refuse = |problem: String| Error::file(path, problem);
    if json.get("model_type").is_none() {
        let known = Family::ALL.map(Family::model_type).join(", ");
        return Err(refuse(format!("model_type is missing; add the one that the model is of: {known}")));
    }
    let common: Common = parse(path, json)?;
    let Some(family) = Family::ALL.into_iter().find(|family| family.model_type() == common.model_type) else {
        let known = Family::ALL.map(Family::model_type).join(", ");
        let problem = format!("model_type `{}` is not one that Cloze computes: {known}", common.model_type);
        return Err(refuse(problem));
    };
    unsupported::check(json).map_err(refuse)?;
    if common.vocab_size == 0 {
        return Err(refuse("vocab_size is 0".into()));
    }
    let config = match family {
        Family::Bert | Family::Roberta => bert(family, &common, parse(path, json)?),
        Family::ModernBert => modern(&common, parse(path, json)?, json),
    };
    let config = config.map_err(refuse)?;
    config.check().map_err(|error| refuse(error.to_string()))?;
    Ok((family, config))
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path, json: &Value) -> Result<T> {
    T::deserialize(json).map_err(|error| Error::file(path, error.to_string()))
}

fn bert(family: Family, common: &Common, options: Bert) -> Result<ModelConfig, String> {
    require("hidden_act", &options.hidden_act, &["gelu"])?;
    let positions = options.position_embedding_type.as_deref().unwrap_or("absolute");
    require("position_embedding_type", positions, &["absolute"])?;
    if options.type_vocab_size == 0 {
        return Err("type_vocab_size is 0, and Cloze computes BERT with token types only".into());
    }
    // RoBERTa's first position is the padding token's id plus one.
    let offset = match family {
        Family::Roberta => options.pad_token_id.unwrap_or(1).saturating_add(1),
        _ => 0,
    };
    let rows = common.max_position_embeddings;
    let max_positions = rows.checked_sub(offset).filter(|&most| most > 0);
    Ok(ModelConfig {
        norm: NormPlacement::Post,
        first_attention_norm: true,
        bias: true,
        positions: Positions::Learned,
        position_offset: offset,
        max_positions: max_positions.ok_or_else(|| {
            format!("max_position_embeddings {rows} leaves no position, as the first is number {offset}")
        })?,
        activation: Activation::Gelu,
        type_vocab_size: options.type_vocab_size,
        final_norm: false,
        head_transform: true,
        norm_eps: options.layer_norm_eps,
        dropout: options.hidden_dropout_prob,
        attention_dropout: options.attention_probs_dropout_prob,
        ..base(common, Recipe::Bert)
    })
}

fn modern(common: &Common, options: Modern, json: &Value) -> Result<ModelConfig, String> {
    require("hidden_activation", &options.hidden_activation, &["gelu"])?;
    // Without an activation, it may be one of our heads without a transform. `values.rs` checks whether it is.
    require("classifier_activation", &options.classifier_activation, &["gelu", "linear"])?;
    let head_transform = options.classifier_activation == "gelu";
    let bias = biases(&options)?;
    if bias && !head_transform {
        return Err("classifier_activation is `linear`, which Cloze computes only without biases".into());
    }
    let global_every = global_every(common, &options)?;
    let (rope_base, rope_local_base) = thetas(&options, json)?;
    Ok(ModelConfig {
        norm: NormPlacement::Pre,
        first_attention_norm: false,
        bias,
        positions: Positions::Rope,
        rope_base,
        rope_local_base,
        activation: Activation::GatedGelu,
        type_vocab_size: 0,
        final_norm: true,
        head_transform,
        decoder_bias: options.decoder_bias,
        norm_eps: options.norm_eps,
        scaled_output_init: true,
        sliding_window: window(options.local_attention, global_every)?,
        global_every,
        dropout: options.mlp_dropout,
        attention_dropout: options.attention_dropout,
        ..base(common, Recipe::Modern)
    })
}

/// Whether the parts of a ModernBERT have biases: all of them, or none.
fn biases(options: &Modern) -> Result<bool, String> {
    let all = [
        ("norm_bias", options.norm_bias),
        ("attention_bias", options.attention_bias),
        ("mlp_bias", options.mlp_bias),
        ("classifier_bias", options.classifier_bias),
    ];
    let (_, first) = all[0];
    if all.iter().all(|&(_, bias)| bias == first) {
        return Ok(first);
    }
    let list = all.map(|(key, bias)| format!("{key} = {bias}")).join(", ");
    Err(format!("{list}: Cloze computes models in which all of these are true, or none"))
}

/// Distance from one global layer to the next, from the number that transformers 4 reads and the list that transformers 5
/// reads.
fn global_every(common: &Common, options: &Modern) -> Result<usize, String> {
    let given = options.global_attn_every_n_layers;
    if given == Some(0) {
        return Err("global_attn_every_n_layers is 0; it must be at least 1".into());
    }
    let Some(types) = &options.layer_types else { return Ok(given.unwrap_or(GLOBAL_EVERY)) };
    let layers = common.num_hidden_layers;
    if types.len() != layers {
        return Err(format!("layer_types lists {} layers, and num_hidden_layers is {layers}", types.len()));
    }
    if let Some(other) = types.iter().find(|kind| !["full_attention", "sliding_attention"].contains(&kind.as_str())) {
        return Err(format!("layer_types has `{other}`, and Cloze computes `full_attention` and `sliding_attention`"));
    }
    let is_global = |layer: usize| types[layer] == "full_attention";
    let fits = |every: usize| (0..layers).all(|layer| is_global(layer) == layer.is_multiple_of(every));
    let second = (1..layers).find(|&layer| is_global(layer)).unwrap_or(layers.max(1));
    match given.unwrap_or(second) {
        every if fits(every) => Ok(every),
        every if given.is_some() => Err(format!(
            "layer_types contradicts global_attn_every_n_layers = {every}; transformers 4 and 5 differ on it"
        )),
        _ => {
            Err("layer_types: Cloze computes global attention in layers 0, n, 2n, … and local attention elsewhere"
                .into())
        }
    }
}

/// Tokens of a local layer's window. An odd number reaches as far to each side as the even one below it.
fn window(local_attention: usize, global_every: usize) -> Result<usize, String> {
    match local_attention / 2 * 2 {
        _ if global_every == 1 => Ok(0),
        0 => Err(format!("local_attention is {local_attention}: a token would see only itself")),
        window => Ok(window),
    }
}

/// The bases of the rotary frequencies of global and of local layers.
fn thetas(options: &Modern, json: &Value) -> Result<(f64, f64), String> {
    let parameters = options.rope_parameters.as_ref();
    let theta = |kind: &str, rope: Option<&Rope>, key: &str, default: f64| {
        let rope_type = rope.and_then(|rope| rope.rope_type.as_deref()).unwrap_or("default");
        require(&format!("rope_parameters.{kind}.rope_type"), rope_type, &["default"])?;
        match (rope.and_then(|rope| rope.rope_theta), json.get(key)) {
            (Some(theta), _) => Ok(theta),
            (None, None | Some(Value::Null)) => Ok(default),
            (None, Some(value)) => value.as_f64().ok_or_else(|| format!("{key} is {value}; it must be a number")),
        }
    };
    let global = parameters.and_then(|parameters| parameters.full_attention.as_ref());
    let local = parameters.and_then(|parameters| parameters.sliding_attention.as_ref());
    let global = theta("full_attention", global, "global_rope_theta", GLOBAL_THETA)?;
    // In transformers 4, null means the same base as in global layers.
    let default = if json.get("local_rope_theta") == Some(&Value::Null) { global } else { LOCAL_THETA };
    Ok((global, theta("sliding_attention", local, "local_rope_theta", default)?))
}

/// The sizes, with the options of a plain BERT.
fn base(common: &Common, recipe: Recipe) -> ModelConfig {
    ModelConfig {
        init: None,
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
        type_vocab_size: 0,
        embedding_norm: true,
        final_norm: false,
        head_transform: true,
        tied_decoder: common.tie_word_embeddings,
        decoder_bias: true,
        norm_eps: 1e-12,
        initializer_range: common.initializer_range,
        scaled_output_init: false,
        mimetic_init: false,
        sliding_window: 0,
        global_every: 1,
        dropout: 0.0,
        attention_dropout: 0.0,
    }
}

fn require(key: &str, found: &str, computed: &[&str]) -> Result<(), String> {
    if computed.contains(&found) {
        return Ok(());
    }
    Err(format!("{key} is `{found}`, and Cloze computes `{}` only", computed.join("` and `")))
}
