//! Every parameter that a config asks for: name, shape, first values.

use super::config::{Activation, ModelConfig, Positions};
use super::init::Init;
use super::parameters::Declaration;
use crate::kernels::cross_entropy::columns_of;

/// The parameters of a model, in the order of its forward pass.
pub fn declare(config: &ModelConfig) -> Vec<Declaration> {
    let mut list = Declarations { config, list: Vec::new() };
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let init = Init::Normal(config.initializer_range as f32);
    let output_init = if config.scaled_output_init {
        Init::Normal((config.initializer_range / (2.0 * config.layers as f64).sqrt()) as f32)
    } else {
        init
    };

    // Attention that begins near at hand, and sharply, finds its first use early: without it a small model with learned
    // positions may stay for thousands of steps at what the mere bag of a sequence's tokens tells.
    let nearby = 2.0 * (0.4 / width as f32).sqrt();
    let (qkv_init, position_init) = match config.mimetic_init {
        true => (
            Init::SharedQueryKey { query_key: nearby, value: config.initializer_range as f32 },
            Init::Sinusoids(nearby),
        ),
        false => (init, init),
    };

    list.vocabulary("embeddings.tokens.weight", &[config.vocab_size, width], init);
    if config.positions == Positions::Learned {
        list.add("embeddings.positions.weight", &[config.max_positions + config.position_offset, width], position_init);
    }
    if config.token_types > 0 {
        list.add("embeddings.types.weight", &[config.token_types, width], init);
    }
    if config.embedding_norm {
        list.norm("embeddings.norm");
    }
    let up = if config.activation == Activation::GatedGelu { 2 * inner } else { inner };
    for layer in 0..config.layers {
        if config.has_attention_norm(layer) {
            list.norm(&format!("layers.{layer}.attention.norm"));
        }
        list.linear(&format!("layers.{layer}.attention.qkv"), width, 3 * width, qkv_init);
        list.linear(&format!("layers.{layer}.attention.output"), width, width, output_init);
        list.norm(&format!("layers.{layer}.mlp.norm"));
        list.linear(&format!("layers.{layer}.mlp.up"), width, up, init);
        list.linear(&format!("layers.{layer}.mlp.down"), inner, width, output_init);
    }
    if config.final_norm {
        list.norm("final_norm");
    }
    if config.head_transform {
        list.linear("head.dense", width, width, init);
        list.norm("head.norm");
    }
    if !config.tied_decoder {
        list.vocabulary("decoder.weight", &[config.vocab_size, width], init);
    }
    if config.decoder_bias {
        list.vocabulary("decoder.bias", &[config.vocab_size], Init::Zero);
    }
    list.list
}

/// Rows of the vocabulary's tables on a device: one for each column of the logits.
pub fn vocabulary_rows(config: &ModelConfig) -> usize {
    columns_of(config.vocab_size)
}

struct Declarations<'a> {
    config: &'a ModelConfig,
    list: Vec<Declaration>,
}

impl Declarations<'_> {
    fn add(&mut self, name: &str, shape: &[usize], init: Init) {
        self.list.push(Declaration { name: name.to_string(), shape: shape.to_vec(), init, rows: shape[0] });
    }

    fn vocabulary(&mut self, name: &str, shape: &[usize], init: Init) {
        let rows = vocabulary_rows(self.config);
        self.list.push(Declaration { name: name.to_string(), shape: shape.to_vec(), init, rows });
    }

    fn norm(&mut self, name: &str) {
        self.with_bias(name, &[self.config.hidden_size], self.config.hidden_size, Init::One);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, init: Init) {
        self.with_bias(name, &[outputs, inputs], outputs, init);
    }

    fn with_bias(&mut self, name: &str, shape: &[usize], outputs: usize, init: Init) {
        self.add(&format!("{name}.weight"), shape, init);
        if self.config.bias {
            self.add(&format!("{name}.bias"), &[outputs], Init::Zero);
        }
    }
}
