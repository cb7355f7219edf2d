//! The encoder: embeddings and transformer layers, forward top to bottom, then its mirror image backward.
//!
//! N = B·T rows, H = width. Every activation is [N, H], but the encoder's output and its gradient have the rows `kept`.

use super::inputs::{Inputs, Shape};
use super::kept::Kept;
use super::layer::{Layer, LayerSaved};
use super::parameters::{Parameters, Weight};
use super::recorder::{DropoutLayer, Norm, NormSaved, Recorder};
use crate::config::{ModelConfig, Recompute};
use crate::exec::Tensor;
use crate::kernels::embedding::{EMBEDDING, EMBEDDING_BACKWARD, Embedding, EmbeddingBackward};

pub struct Encoder {
    shape: Shape,
    width: usize,
    tokens: Weight,
    positions: Weight,
    types: Weight,
    embedding_norm: Option<Norm>,
    embedding_dropout: DropoutLayer,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
}

/// What the backward pass needs from the forward pass.
pub struct Saved {
    embedding_norm: Option<NormSaved>,
    layers: Vec<LayerSaved>,
    final_norm: Option<NormSaved>,
}

impl Encoder {
    /// The encoder of a config, over parameters declared by `architecture::declare`, to be run forward only.
    pub fn new(config: &ModelConfig, parameters: &Parameters, shape: Shape, kept: Kept) -> Self {
        Self::build(config, parameters, shape, kept, Recompute::None, false)
    }

    /// As `new`, to be trained on its masked rows: with dropout.
    pub fn training(config: &ModelConfig, parameters: &Parameters, shape: Shape, recompute: Recompute) -> Self {
        Self::build(config, parameters, shape, Kept::Masked, recompute, true)
    }

    fn build(
        config: &ModelConfig,
        parameters: &Parameters,
        shape: Shape,
        kept: Kept,
        recompute: Recompute,
        train: bool,
    ) -> Self {
        let norm = |name: &str| Recorder::norm_layer(parameters, name, config.hidden_size, config.norm_eps);
        let layer = |number| {
            let kept = if number + 1 == config.layers { kept } else { Kept::All };
            Layer::new(config, parameters, shape, kept, recompute, train, number)
        };
        Encoder {
            shape,
            width: config.hidden_size,
            tokens: parameters.weight("embeddings.tokens.weight"),
            positions: parameters.weight("embeddings.positions.weight"),
            types: parameters.weight("embeddings.types.weight"),
            embedding_norm: norm("embeddings.norm"),
            embedding_dropout: Recorder::dropout_layer(if train { config.dropout } else { 0.0 }, 0),
            layers: (0..config.layers).map(layer).collect(),
            final_norm: norm("final_norm"),
        }
    }

    pub fn forward(&self, r: &mut Recorder, inputs: &Inputs) -> (Tensor, Saved) {
        r.scope = "embeddings".into();
        let x = self.embed(r, inputs);
        let (x, embedding_norm) = r.maybe_norm(self.embedding_norm.as_ref(), x);
        let mut x = r.dropout(self.embedding_dropout, x);
        let (mut layers, mut origin) = (Vec::new(), None);
        for layer in &self.layers {
            let (y, saved) = layer.forward(r, inputs, x, origin);
            (x, origin) = (y, layer.origin(&saved));
            layers.push(saved);
        }
        r.scope = "final".into();
        let (x, final_norm) = r.maybe_norm(self.final_norm.as_ref(), x);
        (x, Saved { embedding_norm, layers, final_norm })
    }

    fn embed(&self, r: &mut Recorder, inputs: &Inputs) -> Tensor {
        let entries = |weight: Weight, r: &Recorder| match weight.value {
            Tensor::NONE => 0,
            value => (r.program.len(value) / self.width) as u32,
        };
        let shape = Embedding {
            rows: self.shape.rows() as u32,
            width: self.width as u32,
            vocabulary: entries(self.tokens, r),
            positions: entries(self.positions, r),
            types: entries(self.types, r),
        };
        let x = r.activation("sum", self.shape.rows() * self.width);
        let (tokens, positions, types) = (self.tokens.value, self.positions.value, self.types.value);
        r.program.launch(&EMBEDDING, shape, &[inputs.ids, inputs.positions, inputs.types, tokens, positions, types, x]);
        x
    }

    /// Adds to every parameter's gradient, given that of the encoder's output.
    pub fn backward(&self, r: &mut Recorder, inputs: &Inputs, saved: &Saved, dx: Tensor) {
        r.scope = "final".into();
        let before = self.dropout_before(self.layers.len());
        let mut dx = r.maybe_norm_backward(self.final_norm.as_ref(), saved.final_norm, dx, before);
        for (number, (layer, saved)) in self.layers.iter().zip(&saved.layers).enumerate().rev() {
            dx = layer.backward(r, inputs, *saved, dx, self.dropout_before(number));
        }
        r.scope = "embeddings".into();
        let (norm, norm_saved) = (self.embedding_norm.as_ref(), saved.embedding_norm);
        let dx = r.maybe_norm_backward(norm, norm_saved, dx.branch, DropoutLayer::NONE);
        self.embed_backward(r, inputs, dx.sum);
    }

    /// The dropout that the input of layer `number`, or the output, came through: all of it or a branch of its sum.
    fn dropout_before(&self, number: usize) -> DropoutLayer {
        number.checked_sub(1).map_or(self.embedding_dropout, |before| self.layers[before].last_dropout())
    }

    fn embed_backward(&self, r: &mut Recorder, inputs: &Inputs, dx: Tensor) {
        let tables = [
            (self.tokens, inputs.ids, inputs.id_order),
            (self.positions, inputs.positions, inputs.position_order),
            (self.types, inputs.types, inputs.type_order),
        ];
        for (table, ids, order) in tables {
            if table.gradient != Tensor::NONE {
                let entries = (r.program.len(table.gradient) / self.width) as u32;
                let shape = EmbeddingBackward { rows: self.shape.rows() as u32, width: self.width as u32, entries };
                r.program.launch(&EMBEDDING_BACKWARD, shape, &[ids, order, dx, table.gradient]);
            }
        }
    }
}
