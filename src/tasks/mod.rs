//! What a model is trained to do. A task says which of the encoder's rows it selects, what its head and its loss are, what it
//! measures, and what transformers calls it.
//!
//! To add a task, write its file here, add it to [`TaskKind`], and add its keys.

pub mod measured;
pub mod mlm;
pub mod nsp;

pub use measured::{Measured, Sums};
pub use mlm::{Filler, Guess, MaskedLm};
pub use nsp::NextSentence;

use crate::Result;
use crate::data::{Documents, Examples, Masking, SpecialTokens};
use crate::exec::Tensor;
use crate::kernels::Precision;
use crate::model::architecture::declare;
use crate::model::inference::Output;
use crate::model::parameters::Declaration;
use crate::model::recorder::Recorder;
use crate::model::{Forward, Inference, Inputs, ModelConfig, Parameters, RowSet, Shape};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The tasks there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Masked language modelling: [`MaskedLm`].
    #[default]
    Mlm,
    /// Masked language modelling and next-sentence prediction: [`NextSentence`].
    Nsp,
}

impl TaskKind {
    pub const ALL: [TaskKind; 2] = [TaskKind::Mlm, TaskKind::Nsp];

    /// As configs call it.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Mlm => "mlm",
            TaskKind::Nsp => "nsp",
        }
    }

    /// The task over a model of this shape.
    pub fn task(self, config: &ModelConfig, masking: Masking) -> Box<dyn Task> {
        let words = MaskedLm { config: config.clone(), masking };
        match self {
            TaskKind::Mlm => Box::new(words),
            TaskKind::Nsp => Box::new(NextSentence { words }),
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a model is trained to do.
pub trait Task: Send + Sync {
    fn kind(&self) -> TaskKind;

    /// The encoder's shape.
    fn config(&self) -> &ModelConfig;

    /// If an encoder of this shape can't be trained for the task: the field of its config that prevents it, and why.
    fn misfit(&self) -> Option<(&'static str, String)> {
        None
    }

    /// The parameters of its head, which come after the encoder's. They are divided into parts; a model's files have all of a
    /// part or nothing of it.
    fn parts(&self) -> Vec<Vec<Declaration>>;

    /// Its head over a model's parameters. `binding` is the device's largest binding in bytes.
    fn head(&self, parameters: &Parameters, binding: u64, precision: Precision) -> Box<dyn Head>;

    /// The names of its losses. Training lowers their sum; the accuracy of the first is that of the task.
    fn losses(&self) -> &'static [&'static str];

    /// Most rows that it selects in a sequence of this many tokens.
    fn selected_per_sequence(&self, length: usize) -> usize;

    /// Whether whole sequences have a class.
    fn has_classes(&self) -> bool {
        false
    }

    /// Its examples, sequences of `length` tokens.
    ///
    /// # Errors
    /// The text has nothing to make examples of, or can't be read.
    fn examples(&self, text: &Text, length: usize) -> Result<Arc<dyn Examples>>;

    /// The model class in transformers for this task in a family, such as `bert`; `None` if there is none.
    fn architecture(&self, model_type: &str) -> Option<&'static str>;

    /// What a family of transformers calls a parameter of its head.
    fn tensor(&self, model_type: &str, parameter: &str) -> Option<&'static str>;
}

/// A task's head and loss, recorded after the encoder.
pub trait Head {
    /// Forward and backward pass over the selected rows x [K, H]: adds to `metrics` and to the gradients, and returns dx [K,
    /// H]. `scaling` is the optimiser's state if the loss is scaled.
    fn record_loss(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        x: Tensor,
        metrics: Tensor,
        scaling: Option<Tensor>,
    ) -> Tensor;

    /// Forward pass only: adds the losses and the correct predictions to `metrics`.
    fn record_eval(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor, metrics: Tensor);

    /// Bytes of its largest activation.
    fn largest_bytes(&self, inputs: &Inputs) -> u64;
}

/// Tokenised text that a task makes its examples of.
pub struct Text {
    pub documents: Arc<dyn Documents>,
    /// Documents for text that is to come from another document; either `documents` again, or others.
    pub others: Arc<dyn Documents>,
    pub specials: SpecialTokens,
    pub vocab_size: usize,
}

/// Every parameter of a task's model: the encoder's, then the head's.
pub fn parameters(task: &dyn Task) -> Vec<Declaration> {
    [declare(task.config()), task.parts().concat()].concat()
}

/// The shape of a batch of this many sequences.
pub fn shape(task: &dyn Task, batch: usize, sequence: usize) -> Shape {
    Shape { batch, sequence, selected: batch * task.selected_per_sequence(sequence) }
}

/// A program for evaluation: its phase adds the sums of a batch to the output, which [`Measured`] reads.
///
/// # Errors
/// As [`Inference::new`].
pub fn evaluation(task: &dyn Task, shape: Shape, binding: u64) -> Result<Inference> {
    let words = measured::words(task.losses().len());
    let output = Output { name: "metrics", rows: 1, columns: (words, words) };
    let forward = Forward { shape, rows: RowSet::Selected, classes: task.has_classes(), binding };
    let head = task.parts().concat();
    Inference::new(task.config(), head, forward, output, |r, parameters, inputs, x, metrics| {
        task.head(parameters, binding, Precision::F32).record_eval(r, inputs, x, metrics);
    })
}
