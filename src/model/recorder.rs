//! The layers of a network as kernel launches: what the pages `encoder.rs` and `head.rs` are written in.

use super::parameters::{Parameters, Weight};
use crate::exec::{Program, Role, Tensor};
use crate::kernels::column_sum::{COLUMN_SUM, ColumnSum};
use crate::kernels::dropout::{DROPOUT, Dropout};
use crate::kernels::gelu::{Elements, GATED_GELU, GATED_GELU_BACKWARD, GELU, GELU_BACKWARD, GatedGelu};
use crate::kernels::layer_norm::{
    LAYER_NORM, LAYER_NORM_BACKWARD, LAYER_NORM_BACKWARD_WEIGHTS, LayerNorm, LayerNormBackward,
};
use crate::kernels::matmul::{LinearProduct, MATMUL_NN, MATMUL_NT, MATMUL_TN, Product};
use crate::kernels::{Arg, Kernel, Params};
use crate::random::Site;

/// y = x·Wᵀ + b, with W [outputs, inputs] and b [outputs] or none.
#[derive(Clone, Copy)]
pub struct Linear {
    pub weight: Weight,
    pub bias: Weight,
    pub inputs: usize,
    pub outputs: usize,
}

/// A layer norm over rows of `width`.
#[derive(Clone, Copy)]
pub struct Norm {
    pub weight: Weight,
    pub bias: Weight,
    pub width: usize,
    pub epsilon: f32,
}

/// What a layer norm's backward pass needs from its forward pass.
#[derive(Clone, Copy)]
pub struct NormSaved {
    pub x: Tensor,
    pub stats: Tensor,
}

/// A dropout layer; a rate of 0 leaves it out.
#[derive(Clone, Copy)]
pub struct DropoutLayer {
    pub rate: f32,
    pub site: u32,
}

impl DropoutLayer {
    pub const NONE: DropoutLayer = DropoutLayer { rate: 0.0, site: 0 };
}

/// The gradient of a sum x + dropout(y), and that of its branch y: the same without dropout.
#[derive(Clone, Copy)]
pub struct SumGradient {
    pub sum: Tensor,
    pub branch: Tensor,
}

pub struct Recorder {
    pub program: Program,
    /// The `step` input of kernels that need it.
    pub step: Tensor,
    /// Names the activations recorded next, such as `layers.3.attention`.
    pub scope: String,
}

impl Recorder {
    pub fn linear_layer(parameters: &Parameters, name: &str, inputs: usize, outputs: usize) -> Linear {
        let weight = parameters.weight(&format!("{name}.weight"));
        Linear { weight, bias: parameters.weight(&format!("{name}.bias")), inputs, outputs }
    }

    /// A norm that the model does without has no weight.
    pub fn norm_layer(parameters: &Parameters, name: &str, width: usize, epsilon: f64) -> Option<Norm> {
        let weight = parameters.weight(&format!("{name}.weight"));
        let bias = parameters.weight(&format!("{name}.bias"));
        let norm = Norm { weight, bias, width, epsilon: epsilon as f32 };
        (weight.value != Tensor::NONE).then_some(norm)
    }

    /// A dropout layer's own site among those of the model.
    pub fn dropout_layer(rate: f64, number: usize) -> DropoutLayer {
        DropoutLayer { rate: rate as f32, site: Site::Dropout as u32 + number as u32 }
    }

    /// A new activation [len], named after the scope, in the precision of the program.
    pub fn activation(&mut self, name: &str, len: usize) -> Tensor {
        let name = format!("{}.{name}", self.scope);
        self.program.reals(Role::Activation, name, &[len])
    }

    /// A new activation [len] that is f32 in every precision: a mean, a sum.
    pub fn statistics(&mut self, name: &str, len: usize) -> Tensor {
        let name = format!("{}.{name}", self.scope);
        self.program.tensor(Role::Activation, name, &[len])
    }

    /// Working memory for the argument `arg` of a kernel.
    pub fn workspace<P: Params>(&mut self, kernel: &Kernel, params: &P, arg: &str) -> Tensor {
        let find = |found: &&Arg| found.name == arg;
        let found = kernel.args.iter().find(find).expect("the kernel has that argument");
        let name = format!("{}.{}.{arg}", self.scope, kernel.name);
        self.program.tensor(Role::Workspace, name, &[(found.len)(params.words())])
    }

    /// x [rows, inputs] → x·Wᵀ + b (+ residual) [rows, outputs]
    pub fn linear(&mut self, layer: &Linear, x: Tensor, residual: Tensor) -> Tensor {
        let y = self.activation("linear", self.rows(x, layer.inputs) * layer.outputs);
        self.linear_into(layer, x, residual, y);
        y
    }

    /// `linear` into a tensor that is there already.
    pub fn linear_into(&mut self, layer: &Linear, x: Tensor, residual: Tensor, y: Tensor) {
        let args = [x, layer.weight.value, layer.bias.value, residual, Tensor::NONE, Tensor::NONE, y];
        self.program.launch(&MATMUL_NT, self.forward_shape(layer, x), &args);
    }

    /// dropout(x·Wᵀ + b) + residual: a residual branch's last two layers.
    pub fn linear_dropout(&mut self, layer: &Linear, dropout: DropoutLayer, x: Tensor, residual: Tensor) -> Tensor {
        if dropout.rate == 0.0 {
            return self.linear(layer, x, residual);
        }
        let y = self.activation("linear", self.rows(x, layer.inputs) * layer.outputs);
        let shape = LinearProduct { rate: dropout.rate, site: dropout.site, ..self.forward_shape(layer, x) };
        let args = [x, layer.weight.value, layer.bias.value, residual, Tensor::NONE, self.step, y];
        self.program.launch(&MATMUL_NT, shape, &args);
        y
    }

    /// x [rows, inputs] → (u, gelu(u)) with u = x·Wᵀ + b [rows, outputs]
    pub fn linear_gelu(&mut self, layer: &Linear, x: Tensor) -> (Tensor, Tensor) {
        let (shape, rows) = (self.forward_shape(layer, x), self.rows(x, layer.inputs));
        let pre = self.activation("before_gelu", rows * layer.outputs);
        let y = self.activation("gelu", rows * layer.outputs);
        let args = [x, layer.weight.value, layer.bias.value, Tensor::NONE, pre, Tensor::NONE, y];
        self.program.launch(&MATMUL_NT, shape, &args);
        (pre, y)
    }

    /// Adds to the gradients of W and b, and gives dx (+ residual) [rows, inputs] from dy [rows, outputs].
    pub fn linear_backward(&mut self, layer: &Linear, x: Tensor, dy: Tensor, residual: Tensor) -> Tensor {
        self.linear_backward_weights(layer, x, dy);
        let dx = self.activation("d_linear", self.rows(dy, layer.outputs) * layer.inputs);
        self.linear_backward_input(layer, dy, residual, dx);
        dx
    }

    /// dx = dy·W (+ residual) into a tensor that is there already.
    pub fn linear_backward_input(&mut self, layer: &Linear, dy: Tensor, residual: Tensor, dx: Tensor) {
        let args = [dy, layer.weight.value, residual, Tensor::NONE, dx];
        self.program.launch(&MATMUL_NN, self.backward_shape(layer, dy), &args);
    }

    /// `linear_backward` of a layer over x = gelu(pre): the gradient of pre.
    pub fn gelu_linear_backward(&mut self, layer: &Linear, pre: Tensor, x: Tensor, dy: Tensor) -> Tensor {
        self.linear_backward_weights(layer, x, dy);
        let d_pre = self.activation("d_before_gelu", self.program.len(pre));
        let args = [dy, layer.weight.value, Tensor::NONE, pre, d_pre];
        self.program.launch(&MATMUL_NN, self.backward_shape(layer, dy), &args);
        d_pre
    }

    /// dW += dyᵀ·x and db += Σ dy.
    pub fn linear_backward_weights(&mut self, layer: &Linear, x: Tensor, dy: Tensor) {
        let rows = self.rows(dy, layer.outputs) as u32;
        let shape = Product { m: layer.outputs as u32, n: layer.inputs as u32, k: rows };
        self.program.launch(&MATMUL_TN, shape, &[dy, x, layer.weight.gradient]);
        self.column_sum(dy, layer.outputs, layer.bias);
    }

    /// The gradient of a bias: its columns' sums over dy [rows, width].
    fn column_sum(&mut self, dy: Tensor, width: usize, bias: Weight) {
        if bias.gradient != Tensor::NONE {
            let shape = ColumnSum { rows: self.rows(dy, width) as u32, width: width as u32 };
            let partial = self.workspace(&COLUMN_SUM, &shape, "partial");
            self.program.launch(&COLUMN_SUM, shape, &[dy, partial, bias.gradient]);
        }
    }

    /// x [rows, width] → its layer norm, and what the way back needs.
    pub fn norm(&mut self, layer: &Norm, x: Tensor) -> (Tensor, NormSaved) {
        let shape = self.norm_shape(layer, x);
        let y = self.activation("norm", self.program.len(x));
        let stats = self.statistics("norm_stats", 2 * shape.rows as usize);
        self.program.launch(&LAYER_NORM, shape, &[x, layer.weight.value, layer.bias.value, y, stats]);
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

    /// The way back of `maybe_norm`.
    pub fn maybe_norm_backward(
        &mut self,
        layer: Option<&Norm>,
        saved: Option<NormSaved>,
        dy: Tensor,
        dropout: DropoutLayer,
    ) -> SumGradient {
        match (layer, saved) {
            (Some(layer), Some(saved)) => self.norm_backward(layer, saved, dy, Tensor::NONE, dropout),
            _ => self.sum_gradient(dy, dropout),
        }
    }

    /// Adds to the gradients of weight and bias, and gives dx (+ residual): that of x as a sum whose branch went through
    /// `dropout`.
    pub fn norm_backward(
        &mut self,
        layer: &Norm,
        saved: NormSaved,
        dy: Tensor,
        residual: Tensor,
        dropout: DropoutLayer,
    ) -> SumGradient {
        let shape = self.norm_shape(layer, dy);
        let partial = self.workspace(&LAYER_NORM_BACKWARD_WEIGHTS, &shape, "partial");
        let args = [saved.x, saved.stats, dy, partial, layer.weight.gradient, layer.bias.gradient];
        self.program.launch(&LAYER_NORM_BACKWARD_WEIGHTS, shape, &args);
        let dx = self.activation("d_norm", self.program.len(dy));
        let (mut step, mut dropped) = (Tensor::NONE, Tensor::NONE);
        if dropout.rate > 0.0 {
            (step, dropped) = (self.step, self.activation("d_norm_dropped", self.program.len(dy)));
        }
        let LayerNorm { rows, width, .. } = shape;
        let shape = LayerNormBackward { rows, width, rate: dropout.rate, site: dropout.site };
        let args = [saved.x, layer.weight.value, saved.stats, dy, residual, step, dx, dropped];
        self.program.launch(&LAYER_NORM_BACKWARD, shape, &args);
        SumGradient { sum: dx, branch: if dropped == Tensor::NONE { dx } else { dropped } }
    }

    /// The gradient of a sum's branch that went through `dropout`, beside that of the sum, which no norm's way back gave.
    pub fn sum_gradient(&mut self, sum: Tensor, dropout: DropoutLayer) -> SumGradient {
        SumGradient { sum, branch: self.dropout(dropout, sum) }
    }

    /// x → x with some of it dropped; without a rate, x itself. The way back is the same over dy.
    pub fn dropout(&mut self, layer: DropoutLayer, x: Tensor) -> Tensor {
        if layer.rate == 0.0 {
            return x;
        }
        let count = self.program.len(x);
        let y = self.activation("dropout", count);
        let shape = Dropout { count: count as u32, rate: layer.rate, site: layer.site };
        self.program.launch(&DROPOUT, shape, &[x, self.step, y]);
        y
    }

    /// gelu(pre) alone, as `linear_gelu` has it.
    pub fn gelu(&mut self, pre: Tensor) -> Tensor {
        let count = self.program.len(pre);
        let y = self.activation("gelu", count);
        self.program.launch(&GELU, Elements { count: count as u32 }, &[pre, y]);
        y
    }

    pub fn gelu_backward(&mut self, pre: Tensor, dy: Tensor) -> Tensor {
        let count = self.program.len(pre);
        let d_pre = self.activation("d_before_gelu", count);
        self.program.launch(&GELU_BACKWARD, Elements { count: count as u32 }, &[pre, dy, d_pre]);
        d_pre
    }

    /// u [rows, 2·width] → gelu(u[:, ..width]) · u[:, width..] [rows, width]
    pub fn gated_gelu(&mut self, u: Tensor, width: usize) -> Tensor {
        let rows = self.rows(u, 2 * width);
        let y = self.activation("gated_gelu", rows * width);
        self.program.launch(&GATED_GELU, GatedGelu { rows: rows as u32, width: width as u32 }, &[u, y]);
        y
    }

    pub fn gated_gelu_backward(&mut self, u: Tensor, dy: Tensor, width: usize) -> Tensor {
        let rows = self.rows(u, 2 * width);
        let du = self.activation("d_gated_gelu", 2 * rows * width);
        self.program.launch(&GATED_GELU_BACKWARD, GatedGelu { rows: rows as u32, width: width as u32 }, &[u, dy, du]);
        du
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
