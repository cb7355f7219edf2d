//! The attention block: one product for q, k and v, attention that keeps no scores in memory, and the output product.
//!
//! N = B·T rows, H = width. M rows continue after attention: all N, except that the last layer may need fewer. Every
//! activation is [N, H] unless a comment says otherwise.

use super::config::ModelConfig;
use super::inputs::{Inputs, Shape};
use super::parameters::Parameters;
use super::recorder::{DropoutLayer, DropoutPlace, Linear, Recorder};
use super::row_set::RowSet;
use crate::exec::Tensor;
use crate::kernels::attention::{Attention as AttentionShape, AttentionArgs};
use crate::kernels::attention_backward::AttentionBackwardArgs;
use crate::kernels::qkv::{Qkv, QkvArgs, QkvBackwardArgs};

pub(super) struct Attention {
    shape: Shape,
    width: usize,
    heads: usize,
    rows: RowSet,
    qkv: Linear,
    output: Linear,
    /// How many tokens a token attends to on each side.
    reach: usize,
    /// Whether it attends to the whole document.
    global: bool,
    dropout: DropoutLayer,
    pub output_dropout: DropoutLayer,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Copy)]
pub(super) struct AttentionSaved {
    pub x: Tensor,
    pub qkv: Tensor, // [3, B, heads, T, head_dim]
    pub y: Tensor,
    pub lse: Tensor,      // [B, heads, T]
    pub selected: Tensor, // [M, H], rows of y
}

impl Attention {
    /// The block of layer `number`. `train` turns dropout on.
    pub fn new(
        config: &ModelConfig,
        parameters: &Parameters,
        shape: Shape,
        rows: RowSet,
        train: bool,
        number: usize,
    ) -> Self {
        let width = config.hidden_size;
        let linear = |part: &str, outputs| {
            Recorder::linear_layer(parameters, &format!("layers.{number}.attention.{part}"), width, outputs)
        };
        let rate = |rate| if train { rate } else { 0.0 };
        let weights = DropoutPlace::AttentionWeights(number);
        let dropout = Recorder::dropout_layer(rate(config.attention_dropout), weights, shape.sequence, RowSet::All);
        let output_place = DropoutPlace::AttentionOutput(number);
        let output_dropout = Recorder::dropout_layer(rate(config.dropout), output_place, width, rows);
        Attention {
            shape,
            width,
            heads: config.heads,
            rows,
            qkv: linear("qkv", 3 * width),
            output: linear("output", width),
            reach: if config.is_global(number) { shape.sequence } else { config.sliding_window / 2 },
            global: config.is_global(number),
            dropout,
            output_dropout,
        }
    }

    /// x → attention's y and those of its rows that continue, and what the backward pass needs.
    pub fn forward(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> AttentionSaved {
        let qkv = self.project(r, inputs, x);
        let y = r.activation("output", self.shape.rows() * self.width);
        let lse = r.statistics("lse", self.shape.rows() * self.heads);
        let args = AttentionArgs { qkv, spans: inputs.spans, step: r.step, y, lse };
        r.program.launch(self.attention_shape(), args);
        let selected = self.rows.gather(r, inputs, y);
        AttentionSaved { x, qkv, y, lse, selected }
    }

    /// x → q, k, v [3, B, heads, T, head_dim]
    pub fn project(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> Tensor {
        let qkv = r.activation("qkv", 3 * self.shape.rows() * self.width);
        let (weight, bias) = (self.qkv.weight.value, self.qkv.bias.map(|bias| bias.value));
        r.program.launch(self.qkv_shape(), QkvArgs { x, weight, bias, rope: inputs.rope(self.global), qkv });
        qkv
    }

    /// residual [M, H] + the output layer over the rows of y that continue
    pub fn output(&self, r: &mut Recorder, selected: Tensor, residual: Tensor) -> Tensor {
        r.linear_dropout(&self.output, self.output_dropout, selected, residual)
    }

    /// residual + dx, given the gradient [M, H] of what the output layer gave before dropout
    pub fn backward(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        saved: AttentionSaved,
        d_branch: Tensor,
        residual: Option<Tensor>,
    ) -> Tensor {
        let rows = self.shape.rows();
        let d_selected = r.linear_backward(&self.output, saved.selected, d_branch, None);
        let dy = self.rows.scatter(r, inputs, d_selected);
        let d_qkv = r.activation("d_qkv", 3 * rows * self.width); // [3, B, heads, T, head_dim]
        let AttentionSaved { x, qkv, y, lse, .. } = saved;
        let args = AttentionBackwardArgs { qkv, spans: inputs.spans, step: r.step, y, lse, dy, d_qkv };
        r.program.launch(self.attention_shape(), args);
        let d_rows = r.activation("d_qkv_rows", 3 * rows * self.width); // [N, 3H]
        r.program.launch(self.qkv_shape(), QkvBackwardArgs { d_qkv, rope: inputs.rope(self.global), dy: d_rows });
        r.linear_backward(&self.qkv, x, d_rows, residual)
    }

    fn qkv_shape(&self) -> Qkv {
        let head_dim = self.width / self.heads;
        Qkv {
            batch: self.shape.batch as u32,
            sequence: self.shape.sequence as u32,
            heads: self.heads as u32,
            head_dim: head_dim as u32,
            scale: 1.0 / (head_dim as f32).sqrt(),
        }
    }

    fn attention_shape(&self) -> AttentionShape {
        AttentionShape {
            batch: self.shape.batch as u32,
            heads: self.heads as u32,
            sequence: self.shape.sequence as u32,
            head_dim: (self.width / self.heads) as u32,
            reach: self.reach as u32,
            dropout: self.dropout.rate,
            site: self.dropout.site,
        }
    }
}
