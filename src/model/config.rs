//! The shape of the network: the section `[model]` of a config.

use super::recipe::Recipe;
use crate::settings::{at_least_one, fraction, positive, require};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

/// The shape of the network, complete: every default filled in. A checkpoint keeps it as `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// A model to go on from: a folder as transformers saves it, one made by `cloze import`, a run, or a checkpoint. Its
    /// weights, its tokenizer and its shape are taken, so that every other key here may be left out; of those that are
    /// given only `dropout` and `attention_dropout` may differ from it. Default: none. Only a config file has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Where the defaults of the other keys come from: "modern" (default) or "bert". Nothing else depends on it.
    pub recipe: Recipe,
    /// Rows of the token embedding. The tokenizer or `init` says it, so a config file leaves it out (0 until it is known).
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub vocab_size: usize,
    /// Transformer layers. No default.
    pub layers: usize,
    /// Width of the residual stream. No default.
    pub hidden_size: usize,
    /// Attention heads; they divide `hidden_size` into parts of at most 128. No default.
    pub heads: usize,
    /// Width inside the feed-forward layer. Default: 4 · `hidden_size` with "gelu"; two thirds of that, to the nearest
    /// multiple of 16, with "gated-gelu".
    pub intermediate_size: usize,
    /// Where the layer norms stand: "pre" (modern) or "post" (bert).
    pub norm: NormPlacement,
    /// Whether the first layer has a norm before its attention, which after an embedding norm it can do without, as in
    /// ModernBERT; only with norm = "pre". Default: false (modern), true (bert).
    pub first_attention_norm: bool,
    /// Whether linear layers and layer norms inside the network have a bias. Default: false (modern), true (bert).
    pub bias: bool,
    /// How a token knows its place: "rope" (modern) or "learned" (bert).
    pub positions: Positions,
    /// Base of the rotary frequencies; only with "rope". Default 10000.
    pub rope_base: f64,
    /// The same for the local layers of a model with a window. Default 10000.
    pub rope_local_base: f64,
    /// Row of the learned position embedding that a sequence's first token gets: RoBERTa's 2. Default 0.
    pub position_offset: usize,
    /// Longest sequence in tokens, and rows of the learned position embedding. Default: 512, or
    /// `data.sequence_length` where that is more.
    pub max_positions: usize,
    /// The feed-forward layer: "gated-gelu" (modern) or "gelu" (bert).
    pub activation: Activation,
    /// Rows of the token type embedding; 0 leaves it out. Default: 0 (modern), 2 (bert).
    pub type_vocab_size: usize,
    /// A layer norm after the embeddings. Default true.
    pub embedding_norm: bool,
    /// A layer norm after the last layer. Default: true (modern), false (bert).
    pub final_norm: bool,
    /// Dense, GELU and layer norm before the decoder. Default: false (modern), true (bert).
    pub head_transform: bool,
    /// Whether the decoder is the token embedding, not a matrix of its own. Default true.
    pub tied_decoder: bool,
    /// A bias a vocabulary entry in the decoder. Default true.
    pub decoder_bias: bool,
    /// Added to the variance in layer norms. Default: 1e-5 (modern), 1e-12 (bert).
    pub norm_eps: f64,
    /// Standard deviation of the initial weights. Default: 0.02 (modern); √(2 / (5 · `hidden_size`)) (bert), which is 0.023
    /// at the width of BERT-base (Nguyen and Salazar, "Transformers without tears", 2019).
    pub initializer_range: f64,
    /// Initial weights that write to the residual stream get `initializer_range` / √(2 · `layers`).
    /// Default: true (modern), false (bert).
    pub scaled_output_init: bool,
    /// Keys begin as queries, and learned positions as sinusoids, both with the deviation 2 · √(2 / (5 · `hidden_size`)), so
    /// that attention begins by looking nearby (after Trockman and Kolter, "Mimetic initialization of self-attention layers",
    /// 2023). Default: false (modern), true (bert).
    pub mimetic_init: bool,
    /// Width in tokens of the sliding attention window of local layers; 0 (default) makes every layer global.
    pub sliding_window: usize,
    /// With a window, layers 0, n, 2n, … are global. Default 3.
    pub global_every: usize,
    /// Share of activations dropped in training, to the nearest 1/65536. Default 0: in a single pass or few over the data it
    /// only costs.
    pub dropout: f64,
    /// Share of attention weights dropped in training, to the nearest 1/65536. Default 0.
    pub attention_dropout: f64,
}

/// Where a layer's norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormPlacement {
    /// Before attention and before the feed-forward layer: x + f(norm(x)).
    Pre,
    /// After each residual sum: norm(x + f(x)).
    Post,
}

/// How a token knows its place in the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// A learned embedding a position.
    Learned,
    /// Queries and keys rotated by their position.
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

/// Widest attention head that the kernels take.
const MAX_HEAD_DIM: usize = 128;
/// Far above any real model, and low enough that sizes multiply without overflow.
const MAX_SIZE: usize = 1 << 20;
/// The same for the vocabulary.
const MAX_VOCABULARY: usize = 1 << 24;
/// The same for layers, each of which is recorded launch by launch.
const MAX_LAYERS: usize = 1 << 10;

impl ModelConfig {
    /// Keys that were called otherwise in earlier versions: the old name, which a checkpoint may have, and the one of now.
    pub const RENAMED: [(&str, &str); 2] = [("window", "sliding_window"), ("token_types", "type_vocab_size")];

    /// A model of these sizes; everything else is as the recipe has it.
    ///
    /// # Errors
    /// Sizes that no network can have.
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

    /// Reads the section of a `config.json` that holds the exact config. `path` is for messages.
    ///
    /// # Errors
    /// Unknown, missing or impossible values.
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

    /// Refuses shapes that no network can have.
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

/// Calls keys by their names of now. One that is there by both is left, to be refused as unknown.
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
