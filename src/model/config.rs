//! The shape of the network: the section `[model]` of a config.

use super::recipe::Recipe;
use crate::settings::{at_least_one, fraction, positive, require};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

/// The complete shape of the network, with every default filled in. A checkpoint keeps it in `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// A model to continue training from: a folder saved by transformers or made by `cloze import`, a run, or a checkpoint.
    /// Its weights, tokenizer and shape are used, so every other key here may be left out; of those that are given, only
    /// `dropout` and `attention_dropout` may differ from the model. Default: none. This key is for config files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Which set of defaults the other keys get: "modern" (default) or "bert". It has no other effect.
    pub recipe: Recipe,
    /// Rows of the token embedding. A config file leaves it out, because it follows from the tokenizer or from `init` (0
    /// until known).
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub vocab_size: usize,
    /// Number of transformer layers. No default.
    pub layers: usize,
    /// Width of the residual stream. No default.
    pub hidden_size: usize,
    /// Number of attention heads. It must divide `hidden_size` into heads of at most 128. No default.
    pub heads: usize,
    /// Width of the feed-forward layer. Default: 4 · `hidden_size` with "gelu"; two thirds of that, rounded to a multiple of
    /// 16, with "gated-gelu".
    pub intermediate_size: usize,
    /// Placement of the layer norms: "pre" (modern) or "post" (bert).
    pub norm: NormPlacement,
    /// Whether the first layer has a norm before its attention; only with norm = "pre". ModernBERT has none there, because
    /// the norm after the embeddings comes right before it. Default: false (modern), true (bert).
    pub first_attention_norm: bool,
    /// Whether linear layers and layer norms inside the network have a bias. Default: false (modern), true (bert).
    pub bias: bool,
    /// How positions are encoded: "rope" (modern) or "learned" (bert).
    pub positions: Positions,
    /// Base of the rotary frequencies (theta); only with "rope". Default 10000.
    pub rope_base: f64,
    /// The same for layers with a sliding window. Default 10000.
    pub rope_local_base: f64,
    /// Row of the learned position embedding that the first token of a sequence gets; 2 in RoBERTa. Default 0.
    pub position_offset: usize,
    /// Longest sequence in tokens, and number of rows of the learned position embedding. Default: 512, or
    /// `data.sequence_length` where that is more.
    pub max_positions: usize,
    /// The feed-forward layer and its activation: "gated-gelu" (modern) or "gelu" (bert).
    pub activation: Activation,
    /// Rows of the token type embedding; 0 leaves it out. Default: 0 (modern), 2 (bert).
    pub type_vocab_size: usize,
    /// Whether there is a layer norm after the embeddings. Default true.
    pub embedding_norm: bool,
    /// Whether there is a layer norm after the last layer. Default: true (modern), false (bert).
    pub final_norm: bool,
    /// Whether the head has a dense layer, GELU and a layer norm before the decoder. Default: false (modern), true (bert).
    pub head_transform: bool,
    /// Whether the decoder shares the token embedding's matrix instead of having its own. Default true.
    pub tied_decoder: bool,
    /// Whether the decoder has a bias for each vocabulary entry. Default true.
    pub decoder_bias: bool,
    /// Epsilon of the layer norms, which is added to the variance. Default: 1e-5 (modern), 1e-12 (bert).
    pub norm_eps: f64,
    /// Standard deviation of the initial weights. Default: 0.02 (modern); √(2 / (5 · `hidden_size`)) (bert), which is 0.023
    /// at the width of BERT-base (Nguyen and Salazar, "Transformers without tears", 2019).
    pub initializer_range: f64,
    /// Whether the initial weights of layers that write to the residual stream get the smaller standard deviation
    /// `initializer_range` / √(2 · `layers`). Default: true (modern), false (bert).
    pub scaled_output_init: bool,
    /// Whether attention begins by looking nearby: the initial key weights equal the query weights, and learned positions
    /// begin as sinusoids, both with the standard deviation 2 · √(2 / (5 · `hidden_size`)) (after Trockman and Kolter,
    /// "Mimetic initialization of self-attention layers", 2023). Default: false (modern), true (bert).
    pub mimetic_init: bool,
    /// Width in tokens of the sliding window of local attention layers; 0 (default) makes every layer global.
    pub sliding_window: usize,
    /// With a sliding window, every n-th layer is global: layers 0, n, 2n, …. This is n. Default 3.
    pub global_every: usize,
    /// Dropout rate of activations, to the nearest 1/65536. Default 0, because dropout only costs when training passes over
    /// the data once or a few times.
    pub dropout: f64,
    /// Dropout rate of attention weights, to the nearest 1/65536. Default 0.
    pub attention_dropout: f64,
}

/// Placement of a layer's norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormPlacement {
    /// Before attention and before the feed-forward layer: x + f(norm(x)).
    Pre,
    /// After each residual sum: norm(x + f(x)).
    Post,
}

/// How the position of a token in the sequence is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// A learned embedding for each position.
    Learned,
    /// Queries and keys are rotated by their position.
    Rope,
}

/// The feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// W₂ · gelu(W₁ · x)
    Gelu,
    /// W₂ · (gelu(W₁ · x) ⊙ W₃ · x)
    GatedGelu,
}

/// Widest attention head that the kernels support.
const MAX_HEAD_DIM: usize = 128;
/// Far above any real model, and low enough that sizes multiply without overflow.
const MAX_SIZE: usize = 1 << 20;
/// The same for the vocabulary.
const MAX_VOCABULARY: usize = 1 << 24;
/// The same for layers, each of which is recorded launch by launch.
const MAX_LAYERS: usize = 1 << 10;

impl ModelConfig {
    /// Keys that had another name in earlier versions, as (old, new). A checkpoint may have the old name.
    pub const RENAMED: [(&str, &str); 2] = [("window", "sliding_window"), ("token_types", "type_vocab_size")];

    /// A model of these sizes; all other keys are as the recipe has them.
    ///
    /// # Errors
    /// The sizes are impossible.
    pub fn new(recipe: Recipe, vocab_size: usize, layers: usize, hidden_size: usize, heads: usize) -> Result<Self> {
        let config = recipe.config(vocab_size, layers, hidden_size, heads);
        config.check()?;
        Ok(config)
    }

    /// The first key in which this differs from `other`, with both values; keys in `free` may differ.
    pub fn first_difference(&self, other: &ModelConfig, free: &[&str]) -> Option<(String, Json, Json)> {
        let keys = |model| serde_json::to_value(model).expect("a struct of numbers and names is always JSON");
        let (own, other) = (keys(self), keys(other));
        let mut fields = own.as_object().into_iter().flatten();
        let (key, value) = fields.find(|(key, value)| !free.contains(&key.as_str()) && other[*key] != **value)?;
        Some((key.clone(), value.clone(), other[key].clone()))
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// Whether layer `layer` (from 0) attends to the whole document.
    pub fn is_global(&self, layer: usize) -> bool {
        self.sliding_window == 0 || layer.is_multiple_of(self.global_every)
    }

    /// Whether layer `layer` (from 0) has a norm before its attention, or after it with norm = "post".
    pub fn has_attention_norm(&self, layer: usize) -> bool {
        self.norm == NormPlacement::Post || self.first_attention_norm || layer > 0
    }

    /// Reads our section of a `config.json`, which holds the exact config. `path` is for messages.
    ///
    /// # Errors
    /// A value is unknown, missing or impossible.
    pub fn from_json(path: &Path, mut json: Json) -> Result<Self> {
        if let Json::Object(keys) = &mut json {
            rename(keys);
        }
        let config: ModelConfig = serde_json::from_value(json)
            .map_err(|error| Error::file(path, format!("is not a model's config: {error}")))?;
        let config = ModelConfig { init: None, ..config };
        config
            .check()
            .and_then(|()| require(config.vocab_size > 0, "model.vocab_size", "is not given"))
            .map_err(|error| Error::file(path, error.to_string()))?;
        Ok(config)
    }

    /// Refuses impossible shapes.
    ///
    /// # Errors
    /// Names the key as it is in a config file.
    pub fn check(&self) -> Result<()> {
        for (key, size) in [
            ("model.layers", self.layers),
            ("model.hidden_size", self.hidden_size),
            ("model.heads", self.heads),
            ("model.intermediate_size", self.intermediate_size),
            ("model.max_positions", self.max_positions),
            ("model.global_every", self.global_every),
        ] {
            at_least_one(key, size as u64)?;
        }
        for (key, size) in [
            ("model.hidden_size", self.hidden_size),
            ("model.intermediate_size", self.intermediate_size),
            ("model.max_positions", self.max_positions),
            ("model.type_vocab_size", self.type_vocab_size),
            ("model.position_offset", self.position_offset),
            ("model.sliding_window", self.sliding_window),
        ] {
            require(size <= MAX_SIZE, key, || format!("is {size}; the most is {MAX_SIZE}"))?;
        }
        let (layers, tokens) = (self.layers, self.vocab_size);
        require(tokens <= MAX_VOCABULARY, "model.vocab_size", || format!("is {tokens}; the most is {MAX_VOCABULARY}"))?;
        require(layers <= MAX_LAYERS, "model.layers", || format!("is {layers}; the most is {MAX_LAYERS}"))?;
        self.check_heads()?;
        require(
            self.sliding_window != 1,
            "model.sliding_window",
            "is 1: a token would see only itself; 0 means no window",
        )?;
        positive("model.rope_base", self.rope_base)?;
        positive("model.rope_local_base", self.rope_local_base)?;
        positive("model.norm_eps", self.norm_eps)?;
        positive("model.initializer_range", self.initializer_range)?;
        fraction("model.dropout", self.dropout)?;
        fraction("model.attention_dropout", self.attention_dropout)
    }

    fn check_heads(&self) -> Result<()> {
        let (hidden, heads) = (self.hidden_size, self.heads);
        require(hidden.is_multiple_of(heads), "model.heads", || {
            format!("is {heads}, which does not divide model.hidden_size = {hidden}")
        })?;
        let width = self.head_dim();
        require(width <= MAX_HEAD_DIM, "model.heads", || {
            format!(
                "makes heads {width} wide (model.hidden_size / {heads}); take more heads, for {MAX_HEAD_DIM} at most"
            )
        })?;
        require(self.positions != Positions::Rope || width.is_multiple_of(2), "model.heads", || {
            format!("makes heads {width} wide, and model.positions = \"rope\" needs an even width")
        })
    }
}

/// Replaces the old names of keys by the new ones. If a key is given under both, the old one stays, to be refused as unknown.
fn rename(keys: &mut Map<String, Json>) {
    for (old, new) in ModelConfig::RENAMED {
        if let Some(value) = keys.get(old).filter(|_| !keys.contains_key(new)).cloned() {
            keys.remove(old);
            keys.insert(new.into(), value);
        }
    }
}

fn is_unknown(vocab_size: &usize) -> bool {
    *vocab_size == 0
}
