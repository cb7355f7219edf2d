//! The encoder: embeddings and transformer layers, forward top to bottom, then its mirror image backward.
//!
//! N = B·T rows, H = width, F = feed-forward width. Every activation is [N, H] unless a comment says otherwise.

use super::inputs::{Inputs, Shape};
use super::parameters::{Parameters, Weight};
use super::recorder::{DropoutLayer, Linear, Norm, NormSaved, Recorder};
use crate::config::{Activation, ModelConfig, NormPlacement};
use crate::exec::Tensor;
use crate::kernels::attention::{ATTENTION, ATTENTION_BACKWARD, Attention};
use crate::kernels::embedding::{EMBEDDING, EMBEDDING_BACKWARD, Embedding, EmbeddingBackward};
use crate::kernels::qkv::{QKV, QKV_BACKWARD, Qkv};

pub struct Encoder {
    shape: Shape,
    width: usize,
    heads: usize,
    placement: NormPlacement,
    tokens: Weight,
    positions: Weight,
    types: Weight,
    embedding_norm: Option<Norm>,
    embedding_dropout: DropoutLayer,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
}

struct Layer {
    name: String,
    attention_norm: Option<Norm>,
    qkv: Linear,
    output: Linear,
    mlp_norm: Norm,
    up: Linear,
    down: Linear,
    activation: Activation,
    /// How far attention sees to each side.
    reach: usize,
    /// Whether that is the whole document.
    global: bool,
    attention_dropout: DropoutLayer,
    output_dropout: DropoutLayer,
    mlp_dropout: DropoutLayer,
}

/// What the backward pass needs from the forward pass.
pub struct Saved {
    embedding_norm: Option<NormSaved>,
    layers: Vec<LayerSaved>,
    final_norm: Option<NormSaved>,
}

struct LayerSaved {
    attention_norm: Option<NormSaved>,
    attention: AttentionSaved,
    mlp_norm: NormSaved,
    mlp: MlpSaved,
}

struct AttentionSaved {
    x: Tensor,
    qkv: Tensor, // [3, B, heads, T, head_dim]
    y: Tensor,
    lse: Tensor, // [B, heads, T]
}

struct MlpSaved {
    x: Tensor,
    u: Tensor, // [N, F], gated [N, 2F]
    y: Tensor, // [N, F]
}

impl Encoder {
    pub fn forward(&self, r: &mut Recorder, inputs: &Inputs) -> (Tensor, Saved) {
        r.scope = "embeddings".into();
        let x = self.embed(r, inputs);
        let (x, embedding_norm) = maybe_norm(r, self.embedding_norm.as_ref(), x);
        let mut x = r.dropout(self.embedding_dropout, x, Tensor::NONE);
        let mut layers = Vec::new();
        for layer in &self.layers {
            let (y, saved) = match self.placement {
                NormPlacement::Pre => self.layer_pre(r, inputs, layer, x),
                NormPlacement::Post => self.layer_post(r, inputs, layer, x),
            };
            x = y;
            layers.push(saved);
        }
        r.scope = "final".into();
        let (x, final_norm) = maybe_norm(r, self.final_norm.as_ref(), x);
        (x, Saved { embedding_norm, layers, final_norm })
    }

    /// x + attention(norm(x)), then x + mlp(norm(x))
    fn layer_pre(&self, r: &mut Recorder, inputs: &Inputs, layer: &Layer, x: Tensor) -> (Tensor, LayerSaved) {
        r.scope = format!("{}.attention", layer.name);
        let (normed, attention_norm) = maybe_norm(r, layer.attention_norm.as_ref(), x);
        let (x, attention) = self.attention(r, inputs, layer, normed, x);
        r.scope = format!("{}.mlp", layer.name);
        let (normed, mlp_norm) = r.norm(&layer.mlp_norm, x);
        let (x, mlp) = layer.mlp(r, normed, x);
        (x, LayerSaved { attention_norm, attention, mlp_norm, mlp })
    }

    /// norm(x + attention(x)), then norm(x + mlp(x))
    fn layer_post(&self, r: &mut Recorder, inputs: &Inputs, layer: &Layer, x: Tensor) -> (Tensor, LayerSaved) {
        r.scope = format!("{}.attention", layer.name);
        let (sum, attention) = self.attention(r, inputs, layer, x, x);
        let (x, attention_norm) = maybe_norm(r, layer.attention_norm.as_ref(), sum);
        r.scope = format!("{}.mlp", layer.name);
        let (sum, mlp) = layer.mlp(r, x, x);
        let (x, mlp_norm) = r.norm(&layer.mlp_norm, sum);
        (x, LayerSaved { attention_norm, attention, mlp_norm, mlp })
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

    /// residual + attention(x)
    fn attention(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        layer: &Layer,
        x: Tensor,
        residual: Tensor,
    ) -> (Tensor, AttentionSaved) {
        let rows = self.shape.rows();
        let qkv = r.activation("qkv", 3 * rows * self.width);
        let (weight, bias) = (layer.qkv.weight.value, layer.qkv.bias.value);
        r.program.launch(&QKV, self.qkv_shape(), &[x, weight, bias, inputs.rope(layer.global), qkv]);
        let y = r.activation("output", rows * self.width);
        let lse = r.statistics("lse", rows * self.heads);
        r.program.launch(&ATTENTION, self.attention_shape(layer), &[qkv, inputs.spans, r.step, y, lse]);
        let sum = r.linear_dropout(&layer.output, layer.output_dropout, y, residual);
        (sum, AttentionSaved { x, qkv, y, lse })
    }

    /// Adds to every parameter's gradient, given that of the encoder's output.
    pub fn backward(&self, r: &mut Recorder, inputs: &Inputs, saved: &Saved, dx: Tensor) {
        r.scope = "final".into();
        let mut dx = maybe_norm_backward(r, self.final_norm.as_ref(), saved.final_norm, dx);
        for (layer, saved) in self.layers.iter().zip(&saved.layers).rev() {
            dx = match self.placement {
                NormPlacement::Pre => self.layer_pre_backward(r, inputs, layer, saved, dx),
                NormPlacement::Post => self.layer_post_backward(r, inputs, layer, saved, dx),
            };
        }
        r.scope = "embeddings".into();
        let dx = r.dropout(self.embedding_dropout, dx, Tensor::NONE);
        let dx = maybe_norm_backward(r, self.embedding_norm.as_ref(), saved.embedding_norm, dx);
        self.embed_backward(r, inputs, dx);
    }

    fn layer_pre_backward(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        layer: &Layer,
        saved: &LayerSaved,
        dx: Tensor,
    ) -> Tensor {
        r.scope = format!("{}.mlp", layer.name);
        let d_normed = layer.mlp_backward(r, &saved.mlp, dx, Tensor::NONE);
        let dx = r.norm_backward(&layer.mlp_norm, saved.mlp_norm, d_normed, dx);
        r.scope = format!("{}.attention", layer.name);
        match (&layer.attention_norm, saved.attention_norm) {
            (Some(norm), Some(norm_saved)) => {
                let d_normed = self.attention_backward(r, inputs, layer, &saved.attention, dx, Tensor::NONE);
                r.norm_backward(norm, norm_saved, d_normed, dx)
            }
            _ => self.attention_backward(r, inputs, layer, &saved.attention, dx, dx),
        }
    }

    fn layer_post_backward(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        layer: &Layer,
        saved: &LayerSaved,
        dx: Tensor,
    ) -> Tensor {
        r.scope = format!("{}.mlp", layer.name);
        let d_sum = r.norm_backward(&layer.mlp_norm, saved.mlp_norm, dx, Tensor::NONE);
        let dx = layer.mlp_backward(r, &saved.mlp, d_sum, d_sum);
        r.scope = format!("{}.attention", layer.name);
        let d_sum = maybe_norm_backward(r, layer.attention_norm.as_ref(), saved.attention_norm, dx);
        self.attention_backward(r, inputs, layer, &saved.attention, d_sum, d_sum)
    }

    /// residual + dx of attention, given the gradient of its sum
    fn attention_backward(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        layer: &Layer,
        saved: &AttentionSaved,
        d_sum: Tensor,
        residual: Tensor,
    ) -> Tensor {
        let rows = self.shape.rows();
        let d_branch = r.dropout(layer.output_dropout, d_sum, Tensor::NONE);
        let dy = r.linear_backward(&layer.output, saved.y, d_branch, Tensor::NONE);
        let shape = self.attention_shape(layer);
        let delta = r.workspace(&ATTENTION_BACKWARD, &shape, "delta");
        let d_qkv = r.activation("d_qkv", 3 * rows * self.width); // [3, B, heads, T, head_dim]
        let args = [saved.qkv, inputs.spans, r.step, saved.y, saved.lse, dy, delta, d_qkv];
        r.program.launch(&ATTENTION_BACKWARD, shape, &args);
        let d_rows = r.activation("d_qkv_rows", 3 * rows * self.width); // [N, 3H]
        r.program.launch(&QKV_BACKWARD, self.qkv_shape(), &[d_qkv, inputs.rope(layer.global), d_rows]);
        r.linear_backward(&layer.qkv, saved.x, d_rows, residual)
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

    fn attention_shape(&self, layer: &Layer) -> Attention {
        Attention {
            batch: self.shape.batch as u32,
            heads: self.heads as u32,
            sequence: self.shape.sequence as u32,
            head_dim: (self.width / self.heads) as u32,
            reach: layer.reach as u32,
            dropout: layer.attention_dropout.rate,
            site: layer.attention_dropout.site,
        }
    }
}

impl Layer {
    /// residual + mlp(x)
    fn mlp(&self, r: &mut Recorder, x: Tensor, residual: Tensor) -> (Tensor, MlpSaved) {
        let (u, y) = match self.activation {
            Activation::Gelu => r.linear_gelu(&self.up, x),
            Activation::GatedGelu => {
                let u = r.linear(&self.up, x, Tensor::NONE);
                (u, r.gated_gelu(u, self.down.inputs))
            }
        };
        let sum = r.linear_dropout(&self.down, self.mlp_dropout, y, residual);
        (sum, MlpSaved { x, u, y })
    }

    /// residual + dx of the mlp, given the gradient of its sum
    fn mlp_backward(&self, r: &mut Recorder, saved: &MlpSaved, d_sum: Tensor, residual: Tensor) -> Tensor {
        let d_branch = r.dropout(self.mlp_dropout, d_sum, Tensor::NONE);
        let dy = r.linear_backward(&self.down, saved.y, d_branch, Tensor::NONE);
        let du = match self.activation {
            Activation::Gelu => r.gelu_backward(saved.u, dy),
            Activation::GatedGelu => r.gated_gelu_backward(saved.u, dy, self.down.inputs),
        };
        r.linear_backward(&self.up, saved.x, du, residual)
    }
}

fn maybe_norm(r: &mut Recorder, layer: Option<&Norm>, x: Tensor) -> (Tensor, Option<NormSaved>) {
    match layer {
        None => (x, None),
        Some(layer) => {
            let (y, saved) = r.norm(layer, x);
            (y, Some(saved))
        }
    }
}

fn maybe_norm_backward(r: &mut Recorder, layer: Option<&Norm>, saved: Option<NormSaved>, dy: Tensor) -> Tensor {
    match (layer, saved) {
        (Some(layer), Some(saved)) => r.norm_backward(layer, saved, dy, Tensor::NONE),
        _ => dy,
    }
}

impl Encoder {
    /// The encoder of a config, over parameters declared by `architecture::declare`. `train` turns dropout on.
    pub fn new(config: &ModelConfig, parameters: &Parameters, shape: Shape, train: bool) -> Self {
        let norm = |name: &str| Recorder::norm_layer(parameters, name, config.hidden_size, config.norm_eps);
        let dropout = |rate, number| Recorder::dropout_layer(if train { rate } else { 0.0 }, number);
        let layer = |number: usize| {
            let name = format!("layers.{number}");
            let linear = |part: &str, inputs, outputs| {
                Recorder::linear_layer(parameters, &format!("{name}.{part}"), inputs, outputs)
            };
            let (width, inner) = (config.hidden_size, config.intermediate_size);
            let up = if config.activation == Activation::GatedGelu { 2 * inner } else { inner };
            Layer {
                attention_norm: norm(&format!("{name}.attention.norm")),
                qkv: linear("attention.qkv", width, 3 * width),
                output: linear("attention.output", width, width),
                mlp_norm: norm(&format!("{name}.mlp.norm")).expect("every layer has this norm"),
                up: linear("mlp.up", width, up),
                down: linear("mlp.down", inner, width),
                activation: config.activation,
                global: config.is_global(number),
                reach: if config.is_global(number) { shape.sequence } else { config.window / 2 },
                attention_dropout: dropout(config.attention_dropout, 1 + 3 * number),
                output_dropout: dropout(config.dropout, 2 + 3 * number),
                mlp_dropout: dropout(config.dropout, 3 + 3 * number),
                name,
            }
        };
        Encoder {
            shape,
            width: config.hidden_size,
            heads: config.heads,
            placement: config.norm,
            tokens: parameters.weight("embeddings.tokens.weight"),
            positions: parameters.weight("embeddings.positions.weight"),
            types: parameters.weight("embeddings.types.weight"),
            embedding_norm: norm("embeddings.norm"),
            embedding_dropout: dropout(config.dropout, 0),
            layers: (0..config.layers).map(layer).collect(),
            final_norm: norm("final_norm"),
        }
    }
}
