//! The operations of a network as kernel launches. `encoder.rs` and the heads of the tasks are written in them.

use super::inputs::Inputs;
use super::parameters::{Parameters, Weight};
use super::row_set::RowSet;
use crate::exec::{Program, Role, Tensor};
use crate::kernels::dropout::{Dropout, DropoutArgs};
use crate::kernels::gelu::{Elements, GatedGelu, GatedGeluArgs, GatedGeluBackwardArgs, GeluArgs, GeluBackwardArgs};
use crate::kernels::layer_norm::{LayerNorm, LayerNormArgs, LayerNormBackward, LayerNormBackwardArgs};
use crate::kernels::matmul::{LinearProduct, MatmulNnArgs, MatmulNtArgs, MatmulTnArgs, Product};
use crate::kernels::rows::{GatherRowsArgs, Rows, ScatterRowsArgs};
use crate::kernels::tanh::{TanhArgs, TanhBackwardArgs};
use crate::random::Site;

/// y = x·Wᵀ + b, with W `[outputs, inputs]` and b `[outputs]` or none.
#[derive(Clone, Copy)]
pub struct Linear {
    pub weight: Weight,
    pub bias: Option<Weight>,
    pub inputs: usize,
    pub outputs: usize,
}

/// A layer norm over rows of `width`.
#[derive(Clone, Copy)]
pub struct Norm {
    pub weight: Weight,
    pub bias: Option<Weight>,
    pub width: usize,
    pub epsilon: f32,
}

/// What a layer norm's backward pass needs from its forward pass.
#[derive(Clone, Copy)]
pub struct NormSaved {
    pub x: Tensor,
    pub stats: Tensor,
}

/// A dropout layer over those rows that are in the set, each `width` wide. With a rate of 0 there is no dropout.
#[derive(Clone, Copy)]
pub struct DropoutLayer {
    pub rate: f32,
    pub site: u32,
    pub width: usize,
    pub rows: RowSet,
}

impl DropoutLayer {
    pub const NONE: DropoutLayer = DropoutLayer { rate: 0.0, site: 0, width: 0, rows: RowSet::All };
}

/// The places where a model has dropout, with the number of the layer.
#[derive(Clone, Copy)]
pub enum DropoutPlace {
    Embeddings,
    AttentionWeights(usize),
    AttentionOutput(usize),
    MlpOutput(usize),
}

/// The gradient of a sum x + dropout(y), and the gradient of its branch y. Without dropout they are the same.
#[derive(Clone, Copy)]
pub struct SumGradient {
    pub sum: Tensor,
    pub branch: Tensor,
}

pub struct Recorder {
    pub program: Program,
    /// The `step` input of kernels that need it, over all rows.
    pub step: Tensor,
    /// The same for kernels over the selected rows.
    pub selected_step: Tensor,
    /// Names the activations recorded next, such as `layers.3.attention`.
    pub scope: String,
}

impl Recorder {
    /// Records launches that take their `step` from these inputs.
    pub fn new(program: Program, inputs: &Inputs) -> Self {
        Recorder { program, step: inputs.step, selected_step: inputs.selected_step, scope: String::new() }
    }

    pub fn linear_layer(parameters: &Parameters, name: &str, inputs: usize, outputs: usize) -> Linear {
        let (weight, bias) = parameters.layer(name);
        Linear { weight, bias, inputs, outputs }
    }

    pub fn norm_layer(parameters: &Parameters, name: &str, width: usize, epsilon: f64) -> Norm {
        let (weight, bias) = parameters.layer(name);
        Norm { weight, bias, width, epsilon: epsilon as f32 }
    }

    /// The dropout layer at a place of the model. Each place has its own random numbers.
    pub fn dropout_layer(rate: f64, place: DropoutPlace, width: usize, rows: RowSet) -> DropoutLayer {
        let number = match place {
            DropoutPlace::Embeddings => 0,
            DropoutPlace::AttentionWeights(layer) => 1 + 3 * layer,
            DropoutPlace::AttentionOutput(layer) => 2 + 3 * layer,
            DropoutPlace::MlpOutput(layer) => 3 + 3 * layer,
        };
        DropoutLayer { rate: rate as f32, site: Site::Dropout as u32 + number as u32, width, rows }
    }

    /// The `step` input of a dropout layer.
    fn step_of(&self, layer: DropoutLayer) -> Tensor {
        match layer.rows {
            RowSet::All => self.step,
            RowSet::Selected => self.selected_step,
        }
    }

    /// A new activation `[len]`, named after the scope, in the precision of the program.
    pub fn activation(&mut self, name: &str, len: usize) -> Tensor {
        let name = format!("{}.{name}", self.scope);
        self.program.reals(Role::Activation, name, &[len])
    }

    /// A new activation `[len]` that is f32 in every precision, such as a mean or a sum.
    pub fn statistics(&mut self, name: &str, len: usize) -> Tensor {
        let name = format!("{}.{name}", self.scope);
        self.program.tensor(Role::Activation, name, &[len])
    }

    /// x [rows, inputs] → x·Wᵀ + b (+ residual) [rows, outputs]
    pub fn linear(&mut self, layer: &Linear, x: Tensor, residual: Option<Tensor>) -> Tensor {
        let y = self.activation("linear", self.rows(x, layer.inputs) * layer.outputs);
        let args = MatmulNtArgs { residual, ..Self::forward_args(layer, x, y) };
        self.program.launch(self.forward_shape(layer, x), args);
        y
    }

    /// `linear`, into a tensor that exists already.
    pub fn linear_into(&mut self, layer: &Linear, x: Tensor, y: Tensor) {
        self.program.launch(self.forward_shape(layer, x), Self::forward_args(layer, x, y));
    }

    /// dropout(x·Wᵀ + b) + residual: the last two layers of a residual branch.
    pub fn linear_dropout(&mut self, layer: &Linear, dropout: DropoutLayer, x: Tensor, residual: Tensor) -> Tensor {
        if dropout.rate == 0.0 {
            return self.linear(layer, x, Some(residual));
        }
        let y = self.activation("linear", self.rows(x, layer.inputs) * layer.outputs);
        let shape = LinearProduct { rate: dropout.rate, site: dropout.site, ..self.forward_shape(layer, x) };
        let (residual, step) = (Some(residual), Some(self.step_of(dropout)));
        self.program.launch(shape, MatmulNtArgs { residual, step, ..Self::forward_args(layer, x, y) });
        y
    }

    /// x [rows, inputs] → (u, gelu(u)) with u = x·Wᵀ + b [rows, outputs]
    pub fn linear_gelu(&mut self, layer: &Linear, x: Tensor) -> (Tensor, Tensor) {
        let rows = self.rows(x, layer.inputs);
        let pre = self.activation("before_gelu", rows * layer.outputs);
        let y = self.activation("gelu", rows * layer.outputs);
        let args = MatmulNtArgs { pre: Some(pre), ..Self::forward_args(layer, x, y) };
        self.program.launch(self.forward_shape(layer, x), args);
        (pre, y)
    }

    /// Adds to the gradients of W and b, and gives dx (+ residual) [rows, inputs] from dy [rows, outputs].
    pub fn linear_backward(&mut self, layer: &Linear, x: Tensor, dy: Tensor, residual: Option<Tensor>) -> Tensor {
        self.linear_backward_weights(layer, x, dy);
        let dx = self.activation("d_linear", self.rows(dy, layer.outputs) * layer.inputs);
        let args = MatmulNnArgs { residual, ..Self::backward_args(layer, dy, dx) };
        self.program.launch(self.backward_shape(layer, dy), args);
        dx
    }

    /// dx = dy·W, into a tensor that exists already.
    pub fn linear_backward_input(&mut self, layer: &Linear, dy: Tensor, dx: Tensor) {
        self.program.launch(self.backward_shape(layer, dy), Self::backward_args(layer, dy, dx));
    }

    /// `linear_backward` of a layer whose input is x = gelu(pre). It returns the gradient of pre.
    pub fn gelu_linear_backward(&mut self, layer: &Linear, pre: Tensor, x: Tensor, dy: Tensor) -> Tensor {
        self.linear_backward_weights(layer, x, dy);
        let d_pre = self.activation("d_before_gelu", self.program.len(pre));
        let args = MatmulNnArgs { pre: Some(pre), ..Self::backward_args(layer, dy, d_pre) };
        self.program.launch(self.backward_shape(layer, dy), args);
        d_pre
    }

    /// dW += dyᵀ·x and db += Σ dy.
    pub fn linear_backward_weights(&mut self, layer: &Linear, x: Tensor, dy: Tensor) {
        let rows = self.rows(dy, layer.outputs) as u32;
        let shape = Product { m: layer.outputs as u32, n: layer.inputs as u32, k: rows };
        let (c, sums) = (layer.weight.gradient(), layer.bias.map(|bias| bias.gradient()));
        self.program.launch(shape, MatmulTnArgs { a: dy, b: x, c, sums });
    }

    /// x [rows, width] → its layer norm, and what the backward pass needs.
    pub fn norm(&mut self, layer: &Norm, x: Tensor) -> (Tensor, NormSaved) {
        let shape = self.norm_shape(layer, x);
        let y = self.activation("norm", self.program.len(x));
        let stats = self.statistics("norm_stats", 2 * shape.rows as usize);
        let (weight, bias) = (layer.weight.value, layer.bias.map(|bias| bias.value));
        self.program.launch(shape, LayerNormArgs { x, weight, bias, y, stats });
        (y, NormSaved { x, stats })
    }

    /// `norm`; without a layer, x itself.
    pub fn maybe_norm(&mut self, layer: Option<&Norm>, x: Tensor) -> (Tensor, Option<NormSaved>) {
        match layer {
            None => (x, None),
            Some(layer) => {
                let (y, saved) = self.norm(layer, x);
                (y, Some(saved))
            }
        }
    }

    /// The backward pass of `maybe_norm`.
    pub fn maybe_norm_backward(
        &mut self,
        layer: Option<&Norm>,
        saved: Option<NormSaved>,
        dy: Tensor,
        dropout: DropoutLayer,
    ) -> SumGradient {
        match (layer, saved) {
            (Some(layer), Some(saved)) => self.norm_backward(layer, saved, dy, None, dropout),
            _ => self.sum_gradient(dy, dropout),
        }
    }

    /// Adds to the gradients of weight and bias, and returns dx (+ residual). x is a sum with a branch that went through
    /// `dropout`, so the gradient of that branch is returned too.
    pub fn norm_backward(
        &mut self,
        layer: &Norm,
        NormSaved { x, stats }: NormSaved,
        dy: Tensor,
        residual: Option<Tensor>,
        dropout: DropoutLayer,
    ) -> SumGradient {
        let (d_weight, d_bias) = (layer.weight.gradient(), layer.bias.map(|bias| bias.gradient()));
        let dx = self.activation("d_norm", self.program.len(dy));
        let (step, dropped) = match dropout.rate {
            0.0 => (None, None),
            _ => (Some(self.step_of(dropout)), Some(self.activation("d_norm_dropped", self.program.len(dy)))),
        };
        let LayerNorm { rows, width, epsilon } = self.norm_shape(layer, dy);
        let shape = LayerNormBackward { rows, width, epsilon, rate: dropout.rate, site: dropout.site };
        let weight = layer.weight.value;
        let args = LayerNormBackwardArgs { x, weight, stats, dy, residual, step, dx, dropped, d_weight, d_bias };
        self.program.launch(shape, args);
        SumGradient { sum: dx, branch: dropped.unwrap_or(dx) }
    }

    /// Adds the gradient of a sum's branch, which went through `dropout`, to that of the sum. For a sum that no norm follows.
    pub fn sum_gradient(&mut self, sum: Tensor, dropout: DropoutLayer) -> SumGradient {
        SumGradient { sum, branch: self.dropout(dropout, sum) }
    }

    /// x → x after dropout; with a rate of 0, x itself. The backward pass is the same operation on dy.
    pub fn dropout(&mut self, layer: DropoutLayer, x: Tensor) -> Tensor {
        if layer.rate == 0.0 {
            return x;
        }
        let count = self.program.len(x);
        let y = self.activation("dropout", count);
        let (rows, width) = (self.rows(x, layer.width) as u32, layer.width as u32);
        let shape = Dropout { rows, width, rate: layer.rate, site: layer.site };
        self.program.launch(shape, DropoutArgs { x, step: self.step_of(layer), y });
        y
    }

    /// x [rows, width] → its rows `selected`, [selected, width]
    pub fn gather_rows(&mut self, selected: Tensor, x: Tensor, rows: usize) -> Tensor {
        let (width, count) = (self.program.len(x) / rows, self.program.len(selected));
        let y = self.activation("gathered", count * width);
        let shape = Rows { rows: rows as u32, selected: count as u32, width: width as u32 };
        self.program.launch(shape, GatherRowsArgs { x, selected, y });
        y
    }

    /// The backward pass of `gather_rows`: dy [selected, width] → dx [rows, width], zero in the other rows. `inverse`, `[rows]`,
    /// is the inverse of the selection.
    pub fn scatter_rows(&mut self, inverse: Tensor, dy: Tensor, selected: usize) -> Tensor {
        let (width, rows) = (self.program.len(dy) / selected, self.program.len(inverse));
        let dx = self.activation("d_gathered", rows * width);
        let shape = Rows { rows: rows as u32, selected: selected as u32, width: width as u32 };
        self.program.launch(shape, ScatterRowsArgs { dy, inverse, dx });
        dx
    }

    /// gelu(pre) alone, as `linear_gelu` computes it.
    pub fn gelu(&mut self, pre: Tensor) -> Tensor {
        let count = self.program.len(pre);
        let y = self.activation("gelu", count);
        self.program.launch(Elements { count: count as u32 }, GeluArgs { pre, y });
        y
    }

    pub fn tanh(&mut self, pre: Tensor) -> Tensor {
        let count = self.program.len(pre);
        let y = self.activation("tanh", count);
        self.program.launch(Elements { count: count as u32 }, TanhArgs { pre, y });
        y
    }

    pub fn tanh_backward(&mut self, pre: Tensor, dy: Tensor) -> Tensor {
        let count = self.program.len(pre);
        let d_pre = self.activation("d_before_tanh", count);
        self.program.launch(Elements { count: count as u32 }, TanhBackwardArgs { pre, dy, d_pre });
        d_pre
    }

    pub fn gelu_backward(&mut self, pre: Tensor, dy: Tensor) -> Tensor {
        let count = self.program.len(pre);
        let d_pre = self.activation("d_before_gelu", count);
        self.program.launch(Elements { count: count as u32 }, GeluBackwardArgs { pre, dy, d_pre });
        d_pre
    }

    /// u [rows, 2·width] → gelu(u[:, ..width]) · u[:, width..] [rows, width]
    pub fn gated_gelu(&mut self, u: Tensor, width: usize) -> Tensor {
        let rows = self.rows(u, 2 * width);
        let y = self.activation("gated_gelu", rows * width);
        self.program.launch(GatedGelu { rows: rows as u32, width: width as u32 }, GatedGeluArgs { u, y });
        y
    }

    pub fn gated_gelu_backward(&mut self, u: Tensor, dy: Tensor, width: usize) -> Tensor {
        let rows = self.rows(u, 2 * width);
        let du = self.activation("d_gated_gelu", 2 * rows * width);
        self.program.launch(GatedGelu { rows: rows as u32, width: width as u32 }, GatedGeluBackwardArgs { u, dy, du });
        du
    }

    /// x·Wᵀ + b, to be stored in y.
    fn forward_args(layer: &Linear, x: Tensor, y: Tensor) -> MatmulNtArgs<Tensor> {
        let bias = layer.bias.map(|bias| bias.value);
        MatmulNtArgs { a: x, b: layer.weight.value, bias, residual: None, pre: None, step: None, c: y }
    }

    /// dy·W, to be stored in dx.
    fn backward_args(layer: &Linear, dy: Tensor, dx: Tensor) -> MatmulNnArgs<Tensor> {
        MatmulNnArgs { a: dy, b: layer.weight.value, residual: None, pre: None, c: dx }
    }

    fn forward_shape(&self, layer: &Linear, x: Tensor) -> LinearProduct {
        let rows = self.rows(x, layer.inputs);
        Product { m: rows as u32, n: layer.outputs as u32, k: layer.inputs as u32 }.into()
    }

    fn backward_shape(&self, layer: &Linear, dy: Tensor) -> Product {
        let rows = self.rows(dy, layer.outputs);
        Product { m: rows as u32, n: layer.inputs as u32, k: layer.outputs as u32 }
    }

    fn norm_shape(&self, layer: &Norm, x: Tensor) -> LayerNorm {
        LayerNorm { rows: self.rows(x, layer.width) as u32, width: layer.width as u32, epsilon: layer.epsilon }
    }

    fn rows(&self, x: Tensor, width: usize) -> usize {
        self.program.len(x) / width
    }
}
