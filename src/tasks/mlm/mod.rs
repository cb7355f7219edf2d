//! Masked language modelling (Devlin et al., "BERT", 2019): tokens are hidden, and the model guesses them from what is around.

mod filler;
pub mod head;

pub use filler::{Filler, Guess};
pub use head::MlmHead;

use super::{Head, Task};
use crate::Result;
use crate::kernels::Precision;
use crate::kernels::cross_entropy::METRICS;
use crate::model::architecture::{Declarations, vocabulary_rows};
use crate::model::inference::Output;
use crate::model::init::Init;
use crate::model::parameters::{Declaration, ParameterKind};
use crate::model::{Inference, Kept, ModelConfig, Parameters, Shape};

/// Guessing masked tokens with a model of this shape.
#[derive(Clone, Debug)]
pub struct MaskedLm {
    pub config: ModelConfig,
}

impl MaskedLm {
    pub fn new(config: &ModelConfig) -> Self {
        MaskedLm { config: config.clone() }
    }

    /// Fills masks: the output has the logits of the masked rows, [K, vocabulary]; `output` itself has them padded.
    ///
    /// # Errors
    /// As [`Inference::new`].
    pub fn prediction(&self, shape: Shape, binding: u64) -> Result<Inference> {
        let config = &self.config;
        let output =
            Output { name: "logits", rows: shape.masked, columns: (config.vocab_size, vocabulary_rows(config)) };
        let head = self.parameters();
        Inference::new(config, head, shape, Kept::Masked, binding, output, |r, parameters, inputs, x, logits| {
            MlmHead::new(config, parameters, binding, Precision::F32).predict(r, inputs, x, logits);
        })
    }
}

impl Task for MaskedLm {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn parameters(&self) -> Vec<Declaration> {
        let (config, width) = (&self.config, self.config.hidden_size);
        let init = Init::Normal(config.initializer_range as f32);
        let mut list = Declarations::new(config);
        if config.head_transform {
            list.linear("head.dense", width, width, init, ParameterKind::Head);
            list.norm("head.norm");
        }
        if !config.tied_decoder {
            list.vocabulary("decoder.weight", &[config.vocab_size, width], init, ParameterKind::Head);
        }
        if config.decoder_bias {
            list.vocabulary("decoder.bias", &[config.vocab_size], Init::Zero, ParameterKind::Vector);
        }
        list.list
    }

    fn head(&self, parameters: &Parameters, binding: u64, precision: Precision) -> Box<dyn Head> {
        Box::new(MlmHead::new(&self.config, parameters, binding, precision))
    }

    fn metrics(&self) -> usize {
        METRICS
    }
}
