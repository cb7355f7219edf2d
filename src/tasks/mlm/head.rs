//! The masked-language-model head over the K selected rows of the encoder's output, each H wide. The vocabulary takes V
//! columns: see `architecture::vocabulary_rows`.

use crate::exec::{Program, Tensor};
use crate::kernels::Precision;
use crate::kernels::cross_entropy::{CrossEntropy, CrossEntropyArgs};
use crate::model::architecture::vocabulary_rows;
use crate::model::recorder::{DropoutLayer, Linear, Norm, NormSaved, Recorder};
use crate::model::{Inputs, ModelConfig, Parameters};
use crate::tasks::Head;

pub struct MlmHead {
    transform: Option<Transform>,
    /// With tied weights it uses the token embedding's matrix; the bias is its own.
    decoder: Linear,
    vocabulary: usize,
    /// Rows whose logits are computed at once, so that they fit a binding. Its numbers take a multiple of 256 bytes, because
    /// parts of larger tensors must be aligned.
    chunk: usize,
    precision: Precision,
}

struct Transform {
    dense: Linear,
    norm: Norm,
}

/// What the backward pass needs from the forward pass.
struct Saved {
    transform: Option<TransformSaved>,
    y: Tensor, // [K, H], what the decoder sees
}

struct TransformSaved {
    u: Tensor, // [K, H]
    norm: NormSaved,
}

impl MlmHead {
    /// `binding` is the largest binding of the device in bytes.
    pub fn new(config: &ModelConfig, parameters: &Parameters, binding: u64, precision: Precision) -> Self {
        let width = config.hidden_size;
        let transform = config.head_transform.then(|| Transform {
            dense: Recorder::linear_layer(parameters, "head.dense", width, width),
            norm: Recorder::norm_layer(parameters, "head.norm", width, config.norm_eps),
        });
        let decoder = Linear {
            weight: parameters.weight(if config.tied_decoder { "embeddings.tokens.weight" } else { "decoder.weight" }),
            bias: config.decoder_bias.then(|| parameters.weight("decoder.bias")),
            inputs: width,
            outputs: vocabulary_rows(config),
        };
        // 128 MiB of logits keep any GPU busy; more would only cost memory.
        let bytes = binding.min(128 << 20);
        let (width, multiple) = (precision.bytes(), Program::PART_ALIGNMENT / precision.bytes());
        let chunk = (bytes as usize / (width * decoder.outputs) / multiple * multiple).max(multiple);
        MlmHead { transform, decoder, vocabulary: config.vocab_size, chunk, precision }
    }

    /// The encoder's output x [K, H] → y [K, H], what the decoder sees.
    fn forward(&self, r: &mut Recorder, x: Tensor) -> Saved {
        r.scope = "head".into();
        match &self.transform {
            None => Saved { transform: None, y: x },
            Some(transform) => {
                let (u, activated) = r.linear_gelu(&transform.dense, x);
                let (y, norm) = r.norm(&transform.norm, activated);
                Saved { transform: Some(TransformSaved { u, norm }), y }
            }
        }
    }

    /// Logits of the selected rows [K, V] into `logits`.
    pub fn predict(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor, logits: Tensor) {
        let saved = self.forward(r, x);
        for (start, rows) in self.chunks(inputs) {
            let y = r.program.part(saved.y, start * self.decoder.inputs, rows * self.decoder.inputs, "head.chunk");
            let out = r.program.part(logits, start * self.decoder.outputs, rows * self.decoder.outputs, "logits.chunk");
            r.linear_into(&self.decoder, y, out);
        }
    }

    /// With `gradient`, the logits are overwritten by their gradient.
    fn cross_entropy(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        (start, rows): (usize, usize),
        (logits, gradient): (Tensor, bool),
        metrics: Tensor,
        optimizer: Option<Tensor>,
    ) {
        let labels = r.program.part(inputs.labels, start, rows, "labels.chunk");
        let shape = CrossEntropy {
            rows: rows as u32,
            vocabulary: self.vocabulary as u32,
            columns: self.decoder.outputs as u32,
            gradient: u32::from(gradient),
        };
        let args = CrossEntropyArgs { labels, step: r.step, optimizer, logits, metrics };
        r.program.launch(shape, args);
    }

    /// As [`Head::record_loss`], added to `residual` [K, H], which only a head with a transform supports. The logits of a
    /// chunk are overwritten by their gradient, and freed before the next chunk.
    pub fn record_loss_onto(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        x: Tensor,
        metrics: Tensor,
        scaling: Option<Tensor>,
        residual: Option<Tensor>,
    ) -> Tensor {
        let width = self.decoder.inputs;
        let saved = self.forward(r, x);
        let dy = r.activation("d_decoder", inputs.shape.selected * width); // [K, H]
        for (start, rows) in self.chunks(inputs) {
            let y = r.program.part(saved.y, start * width, rows * width, "head.chunk");
            let dy = r.program.part(dy, start * width, rows * width, "head.d_chunk");
            let logits = r.linear(&self.decoder, y, None); // [rows, V]
            self.cross_entropy(r, inputs, (start, rows), (logits, true), metrics, scaling);
            r.linear_backward_weights(&self.decoder, y, logits);
            r.linear_backward_input(&self.decoder, logits, dy);
        }
        match (&self.transform, saved.transform) {
            (Some(transform), Some(transform_saved)) => {
                let d_activated = r.norm_backward(&transform.norm, transform_saved.norm, dy, None, DropoutLayer::NONE);
                let du = r.gelu_backward(transform_saved.u, d_activated.sum);
                r.linear_backward(&transform.dense, x, du, residual)
            }
            _ => {
                assert!(residual.is_none(), "a head without a transform adds to no gradient");
                dy
            }
        }
    }

    /// (first row, rows) of every chunk.
    fn chunks(&self, inputs: &Inputs) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (selected, chunk) = (inputs.shape.selected, self.chunk);
        (0..selected).step_by(chunk).map(move |start| (start, chunk.min(selected - start)))
    }
}

impl Head for MlmHead {
    fn record_loss(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        x: Tensor,
        metrics: Tensor,
        scaling: Option<Tensor>,
    ) -> Tensor {
        self.record_loss_onto(r, inputs, x, metrics, scaling, None)
    }

    fn record_eval(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor, metrics: Tensor) {
        let saved = self.forward(r, x);
        for (start, rows) in self.chunks(inputs) {
            let y = r.program.part(saved.y, start * self.decoder.inputs, rows * self.decoder.inputs, "head.chunk");
            let logits = r.linear(&self.decoder, y, None);
            self.cross_entropy(r, inputs, (start, rows), (logits, false), metrics, None);
        }
    }

    fn largest_bytes(&self, inputs: &Inputs) -> u64 {
        (self.precision.bytes() * self.chunk.min(inputs.shape.selected) * self.decoder.outputs) as u64
    }
}
