//! A transformer layer: the attention block and the feed-forward block with their norms, their forward and backward pass, and
//! what is kept in between. M of the N rows continue after attention: see `row_set.rs`.

use super::attention::{Attention, AttentionSaved};
use super::config::{ModelConfig, NormPlacement};
use super::inputs::{Inputs, Shape};
use super::mlp::{Mlp, MlpSaved};
use super::parameters::Parameters;
use super::recompute::Recompute;
use super::recorder::{DropoutLayer, Norm, NormSaved, Recorder, SumGradient};
use super::row_set::RowSet;
use crate::exec::Tensor;

/// A norm and its input, from which its result can be computed again instead of being kept.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    norm: Norm,
    x: Tensor,
}

pub(super) struct Layer {
    name: String,
    placement: NormPlacement,
    recompute: Recompute,
    rows: RowSet,
    attention_norm: Option<Norm>,
    attention: Attention,
    mlp_norm: Norm,
    mlp: Mlp,
}

/// What the backward pass needs from the forward pass. Memory is held only for what it really uses: see `Layer::backward`.
#[derive(Clone, Copy)]
pub(super) struct LayerSaved {
    x: Tensor, // [N, H], the layer's input
    /// The norm that gave x, if it can be computed again.
    origin: Option<Origin>,
    attention_norm: Option<NormSaved>,
    attention: AttentionSaved,
    mlp_norm: NormSaved,
    mlp: MlpSaved,
}

impl Layer {
    /// Layer `number` of a config's encoder, whose output has the rows `rows`. `train` turns dropout on.
    pub fn new(
        config: &ModelConfig,
        parameters: &Parameters,
        shape: Shape,
        rows: RowSet,
        recompute: Recompute,
        train: bool,
        number: usize,
    ) -> Self {
        let name = format!("layers.{number}");
        let norm = |part: &str| {
            Recorder::norm_layer(parameters, &format!("{name}.{part}.norm"), config.hidden_size, config.norm_eps)
        };
        Layer {
            placement: config.norm,
            recompute,
            rows,
            attention_norm: config.has_attention_norm(number).then(|| norm("attention")),
            attention: Attention::new(config, parameters, shape, rows, train, number),
            mlp_norm: norm("mlp"),
            mlp: Mlp::new(config, parameters, rows, train, number),
            name,
        }
    }

    /// x [N, H] → the layer's output [M, H], and what the backward pass needs. `origin` is that of the layer before.
    pub fn forward(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        x: Tensor,
        origin: Option<Origin>,
    ) -> (Tensor, LayerSaved) {
        let (y, saved) = match self.placement {
            NormPlacement::Pre => {
                let (sum, saved) = self.forward_pre(r, inputs, x);
                (self.mlp.output(r, saved.mlp.y, sum), saved)
            }
            NormPlacement::Post => self.forward_post(r, inputs, x),
        };
        (y, LayerSaved { origin, ..saved })
    }

    /// The norm that gave the layer's output; with pre-norm there is none.
    pub fn origin(&self, saved: &LayerSaved) -> Option<Origin> {
        (self.placement == NormPlacement::Post).then_some(Origin { norm: self.mlp_norm, x: saved.mlp_norm.x })
    }

    /// sum = x + attention(norm(x)), then mlp(norm(sum)) up to its output layer, which adds sum
    fn forward_pre(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> (Tensor, LayerSaved) {
        r.scope = format!("{}.attention", self.name);
        let (normed, attention_norm) = r.maybe_norm(self.attention_norm.as_ref(), x);
        let attention = self.attention.forward(r, inputs, normed);
        let residual = self.rows.gather(r, inputs, x);
        let sum = self.attention.output(r, attention.selected, residual);
        r.scope = format!("{}.mlp", self.name);
        let (normed, mlp_norm) = r.norm(&self.mlp_norm, sum);
        let mlp = self.mlp.forward(r, normed);
        (sum, LayerSaved { x, origin: None, attention_norm, attention, mlp_norm, mlp })
    }

    /// norm(x + attention(x)), then norm(x + mlp(x))
    fn forward_post(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> (Tensor, LayerSaved) {
        r.scope = format!("{}.attention", self.name);
        let attention = self.attention.forward(r, inputs, x);
        let residual = self.rows.gather(r, inputs, x);
        let sum = self.attention.output(r, attention.selected, residual);
        let (middle, attention_norm) = r.maybe_norm(self.attention_norm.as_ref(), sum);
        r.scope = format!("{}.mlp", self.name);
        let mlp = self.mlp.forward(r, middle);
        let sum = self.mlp.output(r, mlp.y, middle);
        let (y, mlp_norm) = r.norm(&self.mlp_norm, sum);
        (y, LayerSaved { x, origin: None, attention_norm, attention, mlp_norm, mlp })
    }

    /// The dropout in the sum that is the layer's output; none if a norm comes after the sum.
    pub fn last_dropout(&self) -> DropoutLayer {
        match self.placement {
            NormPlacement::Pre => self.mlp.dropout,
            NormPlacement::Post => DropoutLayer::NONE,
        }
    }

    /// Adds to the gradients of the layer's parameters, and returns dx [N, H] from the gradient of its output [M, H].
    /// `before` is the dropout that gave x. It was applied to all of x, or to one branch of its sum.
    pub fn backward(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        saved: LayerSaved,
        dy: SumGradient,
        before: DropoutLayer,
    ) -> SumGradient {
        // With "layer" only x was kept, so the forward pass runs once more first.
        let saved = match (self.recompute, self.placement) {
            (Recompute::None | Recompute::Elementwise | Recompute::Attention, _) => saved,
            (Recompute::Layer, NormPlacement::Pre) => self.forward_pre(r, inputs, saved.x).1,
            (Recompute::Layer, NormPlacement::Post) => self.forward_post(r, inputs, saved.x).1,
        };
        match self.placement {
            NormPlacement::Pre => self.backward_pre(r, inputs, saved, dy, before),
            NormPlacement::Post => {
                let dx = self.backward_post(r, inputs, saved, dy.sum);
                r.sum_gradient(dx, before)
            }
        }
    }

    fn backward_pre(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        saved: LayerSaved,
        dy: SumGradient,
        before: DropoutLayer,
    ) -> SumGradient {
        r.scope = format!("{}.mlp", self.name);
        let mlp = self.restore_mlp(r, saved);
        let d_normed = self.mlp.backward(r, mlp, dy.branch, None);
        let d_sum =
            r.norm_backward(&self.mlp_norm, saved.mlp_norm, d_normed, Some(dy.sum), self.attention.output_dropout);
        r.scope = format!("{}.attention", self.name);
        let attention = self.restore_attention(r, inputs, saved);
        let residual = self.rows.scatter(r, inputs, d_sum.sum);
        match (&self.attention_norm, saved.attention_norm) {
            (Some(norm), Some(norm_saved)) => {
                let d_normed = self.attention.backward(r, inputs, attention, d_sum.branch, None);
                r.norm_backward(norm, norm_saved, d_normed, Some(residual), before)
            }
            _ => {
                let dx = self.attention.backward(r, inputs, attention, d_sum.branch, Some(residual));
                r.sum_gradient(dx, before)
            }
        }
    }

    fn backward_post(&self, r: &mut Recorder, inputs: &Inputs, saved: LayerSaved, dy: Tensor) -> Tensor {
        r.scope = format!("{}.mlp", self.name);
        let mlp = self.restore_mlp(r, saved);
        let d_sum = r.norm_backward(&self.mlp_norm, saved.mlp_norm, dy, None, self.mlp.dropout);
        let dx = self.mlp.backward(r, mlp, d_sum.branch, Some(d_sum.sum));
        r.scope = format!("{}.attention", self.name);
        let attention = self.restore_attention(r, inputs, saved);
        let (norm, dropout) = (self.attention_norm.as_ref(), self.attention.output_dropout);
        let d_sum = r.maybe_norm_backward(norm, saved.attention_norm, dx, dropout);
        let residual = self.rows.scatter(r, inputs, d_sum.sum);
        self.attention.backward(r, inputs, attention, d_sum.branch, Some(residual))
    }

    /// With "elementwise" or "attention", computes the feed-forward block's x and y from what was kept: the sum before its
    /// norm, and u.
    fn restore_mlp(&self, r: &mut Recorder, saved: LayerSaved) -> MlpSaved {
        if !self.restores() {
            return saved.mlp;
        }
        let x = match (self.placement, &self.attention_norm, saved.attention_norm) {
            (NormPlacement::Post, Some(norm), Some(norm_saved)) => r.norm(norm, norm_saved.x).0,
            _ => r.norm(&self.mlp_norm, saved.mlp_norm.x).0,
        };
        MlpSaved { x, y: self.mlp.activate(r, saved.mlp.u), ..saved.mlp }
    }

    /// With "elementwise" or "attention", computes the attention block's x from the layer's input, or from the norm that gave
    /// that; with "attention" also q, k, v. Attention's y was kept.
    fn restore_attention(&self, r: &mut Recorder, inputs: &Inputs, saved: LayerSaved) -> AttentionSaved {
        if !self.restores() {
            return saved.attention;
        }
        let x = match (self.placement, saved.origin) {
            (NormPlacement::Pre, _) => r.maybe_norm(self.attention_norm.as_ref(), saved.x).0,
            (NormPlacement::Post, Some(origin)) => r.norm(&origin.norm, origin.x).0,
            (NormPlacement::Post, None) => saved.x,
        };
        let qkv = match self.recompute {
            Recompute::Attention => self.attention.project(r, inputs, x),
            _ => saved.attention.qkv,
        };
        AttentionSaved { x, qkv, ..saved.attention }
    }

    /// Whether parts of the layer are computed again, but not the whole of it.
    fn restores(&self) -> bool {
        matches!(self.recompute, Recompute::Elementwise | Recompute::Attention)
    }
}
