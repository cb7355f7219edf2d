//! What a model is trained to do: a task says which of the encoder's rows it wants, what its head and its loss are, and what it
//! measures.
//!
//! A new task is its file here, a line where a config names it, and its keys.

pub mod mlm;

pub use mlm::{Filler, Guess, MaskedLm};

use crate::Result;
use crate::exec::Tensor;
use crate::kernels::Precision;
use crate::model::architecture::declare;
use crate::model::inference::Output;
use crate::model::parameters::Declaration;
use crate::model::recorder::Recorder;
use crate::model::{Inference, Inputs, Kept, ModelConfig, Parameters, Shape};

/// What a model is trained to do.
pub trait Task: Send + Sync {
    /// The encoder's shape.
    fn config(&self) -> &ModelConfig;

    /// The parameters of its head, which come after the encoder's.
    fn parameters(&self) -> Vec<Declaration>;

    /// Its head over a model's parameters. `binding` is the device's largest binding in bytes.
    fn head(&self, parameters: &Parameters, binding: u64, precision: Precision) -> Box<dyn Head>;

    /// Words of what a step measures: see [`Measured`].
    fn metrics(&self) -> usize;
}

/// A task's head and loss, recorded behind the encoder.
pub trait Head {
    /// Forward and backward over the rows that the task wants, x [K, H]: adds to `metrics` and to the gradients, and gives dx
    /// [K, H]. `scaling` is the optimiser's state where the loss is scaled.
    fn record_loss(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        x: Tensor,
        metrics: Tensor,
        scaling: Option<Tensor>,
    ) -> Tensor;

    /// Forward alone: adds the loss and the right answers to `metrics`.
    fn record_eval(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor, metrics: Tensor);

    /// Bytes of the largest activation that is there at once.
    fn largest_bytes(&self, inputs: &Inputs) -> u64;
}

/// Every parameter of a task's model: the encoder's, then the head's.
pub fn parameters(task: &dyn Task) -> Vec<Declaration> {
    [declare(task.config()), task.parameters()].concat()
}

/// A program that measures: its phase adds the sums of a batch to the output, [`Task::metrics`] words.
///
/// # Errors
/// As [`Inference::new`].
pub fn evaluation(task: &dyn Task, shape: Shape, binding: u64) -> Result<Inference> {
    let output = Output { name: "metrics", rows: 1, columns: (task.metrics(), task.metrics()) };
    let head = task.parameters();
    Inference::new(task.config(), head, shape, Kept::Masked, binding, output, |r, parameters, inputs, x, metrics| {
        task.head(parameters, binding, Precision::F32).record_eval(r, inputs, x, metrics);
    })
}

/// Means over the labels of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Cross-entropy in nats.
    pub loss: f64,
    /// Share of the labels guessed right.
    pub accuracy: f64,
}

impl Measured {
    /// From the sums that a step's microbatches added up.
    pub fn from_words(words: &[u32]) -> Self {
        let sums: &[f32] = bytemuck::cast_slice(words);
        let labels = f64::from(sums[2]).max(1.0);
        Measured { loss: f64::from(sums[0]) / labels, accuracy: f64::from(sums[1]) / labels }
    }
}
