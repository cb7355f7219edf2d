//! Every parameter of a config's encoder: its name, shape and initial values.

use super::config::{Activation, ModelConfig, Positions};
use super::init::Init;
use super::parameters::{Declaration, ParameterKind};
use crate::kernels::cross_entropy::columns_of;

/// The parameters of the encoder, in the order of its forward pass. Those of a task's head come after them.
pub fn declare(config: &ModelConfig) -> Vec<Declaration> {
    let mut list = Declarations::new(config);
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let init = Init::Normal(config.initializer_range as f32);
    let output_init = if config.scaled_output_init {
        Init::Normal((config.initializer_range / (2.0 * config.layers as f64).sqrt()) as f32)
    } else {
        init
    };

    // Attention that begins by looking nearby, with sharp weights, becomes useful early. Without this, a small model with
    // learned positions may stay for thousands of steps at the loss that a bag of words gives.
    let nearby = 2.0 * (0.4 / width as f32).sqrt();
    let (qkv_init, position_init) = match config.mimetic_init {
        true => (
            Init::SharedQueryKey { query_key: nearby, value: config.initializer_range as f32 },
            Init::Sinusoids(nearby),
        ),
        false => (init, init),
    };

    list.padded("embeddings.tokens.weight", &[config.vocab_size, width], init, ParameterKind::Embedding);
    if config.positions == Positions::Learned {
        list.table("embeddings.positions.weight", config.max_positions + config.position_offset, position_init);
    }
    if config.type_vocab_size > 0 {
        list.table("embeddings.types.weight", config.type_vocab_size, init);
    }
    if config.embedding_norm {
        list.norm("embeddings.norm");
    }
    let halves = if config.activation == Activation::GatedGelu { 2 } else { 1 };
    let single = ParameterKind::Matrix { stacked: 1 };
    for layer in 0..config.layers {
        if config.has_attention_norm(layer) {
            list.norm(&format!("layers.{layer}.attention.norm"));
        }
        list.linear(
            &format!("layers.{layer}.attention.qkv"),
            width,
            3 * width,
            qkv_init,
            ParameterKind::Matrix { stacked: 3 },
        );
        list.linear(&format!("layers.{layer}.attention.output"), width, width, output_init, single);
        list.norm(&format!("layers.{layer}.mlp.norm"));
        list.linear(
            &format!("layers.{layer}.mlp.up"),
            width,
            halves * inner,
            init,
            ParameterKind::Matrix { stacked: halves },
        );
        list.linear(&format!("layers.{layer}.mlp.down"), inner, width, output_init, single);
    }
    if config.final_norm {
        list.norm("final_norm");
    }
    list.list
}

/// Rows of the vocabulary's tables on a device: one for each column of the logits, padding included.
pub fn vocabulary_rows(config: &ModelConfig) -> usize {
    columns_of(config.vocab_size)
}

/// Collects the declarations of parameters, one after another.
pub struct Declarations<'a> {
    config: &'a ModelConfig,
    pub list: Vec<Declaration>,
}

impl<'a> Declarations<'a> {
    pub fn new(config: &'a ModelConfig) -> Self {
        Declarations { config, list: Vec::new() }
    }

    fn add(&mut self, name: String, shape: &[usize], init: Init, kind: ParameterKind) {
        self.list.push(Declaration { name, shape: shape.to_vec(), init, kind, rows: shape[0] });
    }

    /// An embedding with this many entries.
    fn table(&mut self, name: &str, entries: usize, init: Init) {
        self.add(name.to_string(), &[entries, self.config.hidden_size], init, ParameterKind::Embedding);
    }

    /// A parameter with a row for each class of the logits, such as the vocabulary's tokens. On a device it is padded to a
    /// row for each column of the logits.
    pub fn padded(&mut self, name: &str, shape: &[usize], init: Init, kind: ParameterKind) {
        let rows = columns_of(shape[0]);
        self.list.push(Declaration { name: name.to_string(), shape: shape.to_vec(), init, kind, rows });
    }

    /// A norm over the model's width.
    pub fn norm(&mut self, name: &str) {
        let width = self.config.hidden_size;
        self.add(format!("{name}.weight"), &[width], Init::One, ParameterKind::Vector);
        self.bias(name, width);
    }

    /// A linear layer.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, init: Init, kind: ParameterKind) {
        self.add(format!("{name}.weight"), &[outputs, inputs], init, kind);
        self.bias(name, outputs);
    }

    /// The bias of a layer, in a model that has them.
    fn bias(&mut self, name: &str, outputs: usize) {
        if self.config.bias {
            self.add(format!("{name}.bias"), &[outputs], Init::Zero, ParameterKind::Vector);
        }
    }
}
