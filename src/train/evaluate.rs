//! Measures a model on batches with fixed masks.

use super::metrics::Validation;
use crate::Result;
use crate::data::{Batch, NONE};
use crate::exec::{Executor, Phase, Tensor};
use crate::model::{Inference, Inputs, Microbatch};
use crate::tasks::Measured;
use std::borrow::Borrow;

/// What was measured on some batches, and what guessing by token frequencies would have scored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    pub measured: Measured,
    /// Tokens to guess.
    pub masked_tokens: u64,
    /// Its sum over these tokens, in nats; NaN if the frequencies are not known.
    pub unigram_cross_entropy: f64,
}

impl Evaluation {
    /// The means, as they are reported. `losses` are the task's names of its losses. `None` if no token was masked, since then
    /// nothing was measured.
    pub fn means(&self, losses: &[&str]) -> Option<Validation> {
        let words = self.measured.losses.first().filter(|_| self.masked_tokens > 0)?;
        let (count, cross_entropy) = (self.masked_tokens as f64, words.loss());
        let others = self.measured.parts(losses).into_iter().skip(2);
        Some(Validation {
            loss: self.measured.loss(),
            cross_entropy,
            perplexity: cross_entropy.exp(),
            accuracy: words.accuracy(),
            unigram_cross_entropy: self.unigram_cross_entropy / count,
            masked_tokens: self.masked_tokens,
            others: others.collect(),
        })
    }
}

/// The part of a program that measures: its inputs, the phase to run, and the sums that the phase adds to.
#[derive(Clone, Copy)]
pub struct Evaluator {
    pub inputs: Inputs,
    pub phase: Phase,
    pub metrics: Tensor,
    /// The sums' length.
    pub words: usize,
}

impl Evaluator {
    /// For a program that `tasks::evaluation` recorded.
    pub fn of(evaluation: &Inference) -> Self {
        let words = evaluation.program.len(evaluation.output);
        Evaluator { inputs: evaluation.inputs, phase: evaluation.phase, metrics: evaluation.output, words }
    }

    /// Runs the batches, and sums up their results in f64. `unigram` are the token counts of the training text.
    ///
    /// # Errors
    /// A batch could not be made, or the device fails.
    pub fn measure(
        &self,
        executor: &mut dyn Executor,
        batches: impl Iterator<Item = Result<impl Borrow<Batch>>>,
        unigram: &[u64],
    ) -> Result<Evaluation> {
        let total: f64 = unigram.iter().map(|&count| count as f64 + 1.0).sum();
        let mut sums = Evaluation::default();
        for batch in batches {
            let batch = batch?;
            let batch = batch.borrow();
            executor.write(self.metrics, &vec![0; self.words]);
            self.inputs.write(executor, batch, Microbatch::default())?;
            executor.run(self.phase)?;
            executor.request(&[self.metrics])?;
            for &label in batch.labels.iter().filter(|&&label| label != NONE) {
                sums.masked_tokens += 1;
                sums.unigram_cross_entropy -= unigram_probability(unigram, total, label).ln();
            }
            while let Some(values) = executor.collect(false)? {
                sums.measured.add(&Measured::from_words(&values[0]));
            }
        }
        while let Some(values) = executor.collect(true)? {
            sums.measured.add(&Measured::from_words(&values[0]));
        }
        Ok(sums)
    }
}

/// The share of a token in the training text, with every count one higher so that none is zero; NaN if the counts are not
/// known.
fn unigram_probability(counts: &[u64], total: f64, label: u32) -> f64 {
    if counts.is_empty() {
        return f64::NAN;
    }
    counts.get(label as usize).map_or(1.0, |&count| count as f64 + 1.0) / total
}
