//! The feed-forward block: two linear layers with GELU between them, or gated GELU.
//!
//! N = B·T rows, H = width, F = feed-forward width. Every activation is [N, H] unless a comment says otherwise.

use super::config::{Activation, ModelConfig};
use super::parameters::Parameters;
use super::recorder::{DropoutLayer, DropoutPlace, Linear, Recorder};
use super::row_set::RowSet;
use crate::exec::Tensor;

pub(super) struct Mlp {
    up: Linear,
    down: Linear,
    activation: Activation,
    pub dropout: DropoutLayer,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Copy)]
pub(super) struct MlpSaved {
    pub x: Tensor,
    pub u: Tensor, // [N, F], gated [N, 2F]
    pub y: Tensor, // [N, F]
}

impl Mlp {
    /// The block of layer `number`, over the rows `rows`. `train` turns dropout on.
    pub fn new(config: &ModelConfig, parameters: &Parameters, rows: RowSet, train: bool, number: usize) -> Self {
        let linear = |part: &str, inputs, outputs| {
            Recorder::linear_layer(parameters, &format!("layers.{number}.mlp.{part}"), inputs, outputs)
        };
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let rate = if train { config.dropout } else { 0.0 };
        let up = if config.activation == Activation::GatedGelu { 2 * inner } else { inner };
        Mlp {
            up: linear("up", width, up),
            down: linear("down", inner, width),
            activation: config.activation,
            dropout: Recorder::dropout_layer(rate, DropoutPlace::MlpOutput(number), width, rows),
        }
    }

    /// x → y, which the output layer takes, and what the backward pass needs.
    pub fn forward(&self, r: &mut Recorder, x: Tensor) -> MlpSaved {
        let (u, y) = match self.activation {
            Activation::Gelu => r.linear_gelu(&self.up, x),
            Activation::GatedGelu => {
                let u = r.linear(&self.up, x, None);
                (u, self.activate(r, u))
            }
        };
        MlpSaved { x, u, y }
    }

    /// u → y
    pub fn activate(&self, r: &mut Recorder, u: Tensor) -> Tensor {
        match self.activation {
            Activation::Gelu => r.gelu(u),
            Activation::GatedGelu => r.gated_gelu(u, self.down.inputs),
        }
    }

    /// residual + the output layer over y
    pub fn output(&self, r: &mut Recorder, y: Tensor, residual: Tensor) -> Tensor {
        r.linear_dropout(&self.down, self.dropout, y, residual)
    }

    /// residual + dx, given the gradient of what the output layer gave before dropout
    pub fn backward(&self, r: &mut Recorder, saved: MlpSaved, d_branch: Tensor, residual: Option<Tensor>) -> Tensor {
        let du = match self.activation {
            Activation::Gelu => r.gelu_linear_backward(&self.down, saved.u, saved.y, d_branch),
            Activation::GatedGelu => {
                let dy = r.linear_backward(&self.down, saved.y, d_branch, None);
                r.gated_gelu_backward(saved.u, dy, self.down.inputs)
            }
        };
        r.linear_backward(&self.up, saved.x, du, residual)
    }
}
