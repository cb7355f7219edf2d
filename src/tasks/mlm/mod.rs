//! Masked language modelling (Devlin et al., "BERT", 2019): tokens are masked, and the model predicts them from their
//! context.

mod filler;
pub mod head;
mod hugging_face;

pub use filler::{Filler, Guess};
pub use head::MlmHead;

use super::{Head, Task, TaskKind, Text};
use crate::Result;
use crate::data::{Examples, MaskedSequences, Masker, Masking, Packing};
use crate::kernels::Precision;
use crate::model::architecture::{Declarations, vocabulary_rows};
use crate::model::inference::Output;
use crate::model::init::Init;
use crate::model::parameters::{Declaration, ParameterKind};
use crate::model::{Forward, Inference, ModelConfig, Parameters, RowSet, Shape};
use std::sync::Arc;

/// The task of predicting masked tokens, with a model of this shape.
#[derive(Clone, Debug)]
pub struct MaskedLm {
    pub config: ModelConfig,
    pub masking: Masking,
}

impl MaskedLm {
    /// With BERT's masking.
    pub fn new(config: &ModelConfig) -> Self {
        MaskedLm { config: config.clone(), masking: Masking::default() }
    }

    /// A program that predicts masked tokens. Reading it gives the logits of the masked rows, [K, vocabulary]; `output`
    /// itself has padded columns.
    ///
    /// # Errors
    /// As [`Inference::new`].
    pub fn prediction(&self, shape: Shape, binding: u64) -> Result<Inference> {
        let config = &self.config;
        let output =
            Output { name: "logits", rows: shape.selected, columns: (config.vocab_size, vocabulary_rows(config)) };
        let forward = Forward { shape, rows: RowSet::Selected, classes: false, binding };
        let head = self.parts().concat();
        Inference::new(config, head, forward, output, |r, parameters, inputs, x, logits| {
            MlmHead::new(config, parameters, binding, Precision::F32).predict(r, inputs, x, logits);
        })
    }
}

impl Task for MaskedLm {
    fn kind(&self) -> TaskKind {
        TaskKind::Mlm
    }

    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn parts(&self) -> Vec<Vec<Declaration>> {
        let (config, width) = (&self.config, self.config.hidden_size);
        let init = Init::Normal(config.initializer_range as f32);
        let mut list = Declarations::new(config);
        if config.head_transform {
            list.linear("head.dense", width, width, init, ParameterKind::Head);
            list.norm("head.norm");
        }
        if !config.tied_decoder {
            list.padded("decoder.weight", &[config.vocab_size, width], init, ParameterKind::Head);
        }
        if config.decoder_bias {
            list.padded("decoder.bias", &[config.vocab_size], Init::Zero, ParameterKind::Vector);
        }
        vec![list.list]
    }

    fn head(&self, parameters: &Parameters, binding: u64, precision: Precision) -> Box<dyn Head> {
        Box::new(MlmHead::new(&self.config, parameters, binding, precision))
    }

    fn losses(&self) -> &'static [&'static str] {
        &["masked"]
    }

    fn selected_per_sequence(&self, length: usize) -> usize {
        self.masking.masked_per_sequence(length)
    }

    fn examples(&self, text: &Text, length: usize) -> Result<Arc<dyn Examples>> {
        let masker = Masker::new(self.masking, text.specials, text.vocab_size)?;
        let packing = Packing::new(text.documents.clone(), text.specials, length)?;
        Ok(Arc::new(MaskedSequences { packing, masker }))
    }

    fn architecture(&self, model_type: &str) -> Option<&'static str> {
        hugging_face::architecture(model_type)
    }

    fn tensor(&self, model_type: &str, parameter: &str) -> Option<&'static str> {
        hugging_face::tensor(model_type, parameter)
    }
}
