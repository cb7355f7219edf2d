//! The encoder: embeddings and transformer layers, first their forward pass, then their backward pass in reverse order.
//!
//! N = B·T rows, H = width. Every activation is [N, H], except that the encoder's output and its gradient have the rows
//! `rows`.

use super::config::{ModelConfig, Positions};
use super::inputs::{Inputs, Shape};
use super::layer::{Layer, LayerSaved};
use super::parameters::{Parameters, Weight};
use super::recompute::Recompute;
use super::recorder::{DropoutLayer, DropoutPlace, Norm, NormSaved, Recorder};
use super::row_set::RowSet;
use crate::exec::Tensor;
use crate::kernels::embedding::{Embedding, EmbeddingArgs, EmbeddingBackward, EmbeddingBackwardArgs};

pub struct Encoder {
    shape: Shape,
    width: usize,
    tokens: Weight,
    positions: Option<Weight>,
    types: Option<Weight>,
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
    /// The encoder of a config, for the forward pass only, over parameters declared by `architecture::declare`.
    pub fn new(config: &ModelConfig, parameters: &Parameters, shape: Shape, rows: RowSet) -> Self {
        Self::build(config, parameters, shape, rows, Recompute::None, false)
    }

    /// As `new`, for training on the selected rows: with dropout.
    pub fn training(config: &ModelConfig, parameters: &Parameters, shape: Shape, recompute: Recompute) -> Self {
        Self::build(config, parameters, shape, RowSet::Selected, recompute, true)
    }

    fn build(
        config: &ModelConfig,
        parameters: &Parameters,
        shape: Shape,
        rows: RowSet,
        recompute: Recompute,
        train: bool,
    ) -> Self {
        let norm = |name: &str| Recorder::norm_layer(parameters, name, config.hidden_size, config.norm_eps);
        let layer = |number| {
            let rows = if number + 1 == config.layers { rows } else { RowSet::All };
            Layer::new(config, parameters, shape, rows, recompute, train, number)
        };
        Encoder {
            shape,
            width: config.hidden_size,
            tokens: parameters.weight("embeddings.tokens.weight"),
            positions: (config.positions == Positions::Learned)
                .then(|| parameters.weight("embeddings.positions.weight")),
            types: (config.type_vocab_size > 0).then(|| parameters.weight("embeddings.types.weight")),
            embedding_norm: config.embedding_norm.then(|| norm("embeddings.norm")),
            embedding_dropout: Recorder::dropout_layer(
                if train { config.dropout } else { 0.0 },
                DropoutPlace::Embeddings,
                config.hidden_size,
                RowSet::All,
            ),
            layers: (0..config.layers).map(layer).collect(),
            final_norm: config.final_norm.then(|| norm("final_norm")),
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
        let entries = |weight: Weight| (r.program.len(weight.value) / self.width) as u32;
        let shape = Embedding {
            rows: self.shape.rows() as u32,
            width: self.width as u32,
            vocabulary: entries(self.tokens),
            positions: self.positions.map_or(0, entries),
            types: self.types.map_or(0, entries),
        };
        let x = r.activation("sum", self.shape.rows() * self.width);
        let args = EmbeddingArgs {
            ids: inputs.ids,
            positions: inputs.positions,
            types: inputs.types,
            token_table: self.tokens.value,
            position_table: self.positions.map(|weight| weight.value),
            type_table: self.types.map(|weight| weight.value),
            y: x,
        };
        r.program.launch(shape, args);
        x
    }

    /// Adds to every parameter's gradient, given the gradient of the encoder's output.
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

    /// The dropout that gave the input of layer `number` (after the last layer: the output). It was applied to all of it, or
    /// to one branch of its sum.
    fn dropout_before(&self, number: usize) -> DropoutLayer {
        number.checked_sub(1).map_or(self.embedding_dropout, |before| self.layers[before].last_dropout())
    }

    fn embed_backward(&self, r: &mut Recorder, inputs: &Inputs, dy: Tensor) {
        let orders = inputs.orders.expect("a backward pass has inputs with orders");
        let tables = [
            (Some(self.tokens), inputs.ids, orders.ids),
            (self.positions, inputs.positions, orders.positions),
            (self.types, inputs.types, orders.types),
        ];
        for (table, ids, order) in tables {
            if let Some(table) = table {
                let d_table = table.gradient();
                let entries = (r.program.len(d_table) / self.width) as u32;
                let shape = EmbeddingBackward { rows: self.shape.rows() as u32, width: self.width as u32, entries };
                r.program.launch(shape, EmbeddingBackwardArgs { ids, order, dy, d_table });
            }
        }
    }
}
