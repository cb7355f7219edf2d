//! BERT's original objective: masked language modelling and next-sentence prediction together (Devlin et al., "BERT", 2019),
//! as in transformers' BertForPreTraining.
//!
//! Each sequence is a pair of segments. A pooler (a dense layer with tanh) over the row of `[CLS]` predicts whether the
//! second segment follows the first. The loss is the sum of both mean losses.

mod pairs;

pub use pairs::SentencePairs;

use super::measured::sums_of;
use super::mlm::MlmHead;
use super::{Head, MaskedLm, Task, TaskKind, Text};
use crate::Result;
use crate::data::{Examples, Masker};
use crate::exec::Tensor;
use crate::kernels::Precision;
use crate::kernels::cross_entropy::{CrossEntropy, CrossEntropyArgs, columns_of};
use crate::model::architecture::Declarations;
use crate::model::init::Init;
use crate::model::inputs::ClassInputs;
use crate::model::parameters::{Declaration, ParameterKind};
use crate::model::recorder::{Linear, Recorder};
use crate::model::{Inputs, ModelConfig, Parameters};
use std::sync::Arc;

/// The second segment follows the first, or does not.
const CLASSES: usize = 2;

/// The task of predicting masked tokens, and whether a segment follows another.
#[derive(Clone, Debug)]
pub struct NextSentence {
    pub words: MaskedLm,
}

impl Task for NextSentence {
    fn kind(&self) -> TaskKind {
        TaskKind::Nsp
    }

    fn config(&self) -> &ModelConfig {
        &self.words.config
    }

    fn misfit(&self) -> Option<(&'static str, String)> {
        let ModelConfig { type_vocab_size, head_transform, .. } = *self.config();
        if type_vocab_size < CLASSES {
            let problem =
                format!("is {type_vocab_size}; next-sentence prediction tells the segments of a pair apart by two");
            return Some(("type_vocab_size", problem));
        }
        let problem = || "is false; next-sentence prediction has the head of BERT, with a transform".to_string();
        (!head_transform).then(|| ("head_transform", problem()))
    }

    fn parts(&self) -> Vec<Vec<Declaration>> {
        let (config, width) = (self.config(), self.config().hidden_size);
        let init = Init::Normal(config.initializer_range as f32);
        let mut pooler = Declarations::new(config);
        pooler.linear("pooler.dense", width, width, init, ParameterKind::Head);
        let mut pair = Declarations::new(config);
        pair.padded("pair.weight", &[CLASSES, width], init, ParameterKind::Head);
        pair.padded("pair.bias", &[CLASSES], Init::Zero, ParameterKind::Vector);
        [self.words.parts(), vec![pooler.list, pair.list]].concat()
    }

    fn head(&self, parameters: &Parameters, binding: u64, precision: Precision) -> Box<dyn Head> {
        let width = self.config().hidden_size;
        Box::new(NextSentenceHead {
            words: MlmHead::new(self.config(), parameters, binding, precision),
            pooler: Recorder::linear_layer(parameters, "pooler.dense", width, width),
            pair: Recorder::linear_layer(parameters, "pair", width, columns_of(CLASSES)),
        })
    }

    fn losses(&self) -> &'static [&'static str] {
        &["masked", "next_sentence"]
    }

    fn selected_per_sequence(&self, length: usize) -> usize {
        SentencePairs::selected_per_sequence(&self.words.masking, length)
    }

    fn has_classes(&self) -> bool {
        true
    }

    fn examples(&self, text: &Text, length: usize) -> Result<Arc<dyn Examples>> {
        let masker = Masker::new(self.words.masking, text.specials, text.vocab_size)?;
        Ok(Arc::new(SentencePairs::new(text.documents.clone(), text.others.clone(), masker, length)?))
    }

    fn architecture(&self, model_type: &str) -> Option<&'static str> {
        (model_type == "bert").then_some("BertForPreTraining")
    }

    fn tensor(&self, model_type: &str, parameter: &str) -> Option<&'static str> {
        match (model_type, parameter) {
            ("bert", "pooler.dense.weight") => Some("bert.pooler.dense.weight"),
            ("bert", "pooler.dense.bias") => Some("bert.pooler.dense.bias"),
            ("bert", "pair.weight") => Some("cls.seq_relationship.weight"),
            ("bert", "pair.bias") => Some("cls.seq_relationship.bias"),
            _ => self.words.tensor(model_type, parameter),
        }
    }
}

struct NextSentenceHead {
    words: MlmHead,
    pooler: Linear,
    pair: Linear,
}

/// What the backward pass needs from the forward pass.
struct Saved {
    first: Tensor,  // [B, H], the row of [CLS]
    pre: Tensor,    // [B, H]
    pooled: Tensor, // [B, H]
    logits: Tensor, // [B, 2, padded]
}

impl NextSentenceHead {
    /// The encoder's output is x [K, H]; the first row of each sequence is used.
    fn forward(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> Saved {
        r.scope = "pooler".into();
        let first = r.gather_rows(classes(inputs).firsts, x, inputs.shape.selected);
        let pre = r.linear(&self.pooler, first, None);
        let pooled = r.tanh(pre);
        let logits = r.linear(&self.pair, pooled, None);
        Saved { first, pre, pooled, logits }
    }

    /// With `gradient`, the logits are overwritten by their gradient.
    fn cross_entropy(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        (logits, gradient): (Tensor, bool),
        metrics: Tensor,
        optimizer: Option<Tensor>,
    ) {
        let ClassInputs { labels, step, .. } = classes(inputs);
        let shape = CrossEntropy {
            rows: inputs.shape.batch as u32,
            vocabulary: CLASSES as u32,
            columns: self.pair.outputs as u32,
            gradient: u32::from(gradient),
        };
        let metrics = sums_of(r, metrics, 1);
        r.program.launch(shape, CrossEntropyArgs { labels, step, optimizer, logits, metrics });
    }
}

fn classes(inputs: &Inputs) -> ClassInputs {
    inputs.classes.expect("a task with classes has inputs with classes")
}

impl Head for NextSentenceHead {
    fn record_loss(
        &self,
        r: &mut Recorder,
        inputs: &Inputs,
        x: Tensor,
        metrics: Tensor,
        scaling: Option<Tensor>,
    ) -> Tensor {
        let Saved { first, pre, pooled, logits } = self.forward(r, inputs, x);
        self.cross_entropy(r, inputs, (logits, true), metrics, scaling);
        let d_pooled = r.linear_backward(&self.pair, pooled, logits, None);
        let d_pre = r.tanh_backward(pre, d_pooled);
        let d_first = r.linear_backward(&self.pooler, first, d_pre, None);
        let dx = r.scatter_rows(classes(inputs).inverse, d_first, inputs.shape.batch); // [K, H]
        let metrics = sums_of(r, metrics, 0);
        self.words.record_loss_onto(r, inputs, x, metrics, scaling, Some(dx))
    }

    fn record_eval(&self, r: &mut Recorder, inputs: &Inputs, x: Tensor, metrics: Tensor) {
        let logits = self.forward(r, inputs, x).logits;
        self.cross_entropy(r, inputs, (logits, false), metrics, None);
        let metrics = sums_of(r, metrics, 0);
        self.words.record_eval(r, inputs, x, metrics);
    }

    fn largest_bytes(&self, inputs: &Inputs) -> u64 {
        self.words.largest_bytes(inputs)
    }
}
