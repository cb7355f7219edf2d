//! Measuring a model on batches with fixed masks.

use super::metrics::Validation;
use crate::Result;
use crate::data::{Batch, NONE};
use crate::exec::{Executor, Phase, Tensor};
use crate::model::{Inference, Inputs, Microbatch};
use crate::tasks::Measured;
use std::borrow::Borrow;

/// What some batches measured, and what guessing by token frequencies would have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    pub measured: Measured,
    /// Tokens to guess.
    pub masked_tokens: u64,
    /// Sum in nats over these; NaN where the frequencies are not known.
    pub unigram_cross_entropy: f64,
}

impl Evaluation {
    /// The means, as they are reported, with the task's names of its losses; `None` where no token was masked, since nothing was
    /// measured then.
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

/// Where a program measures: its batch, the phase to run, and the sums that the phase adds to.
#[derive(Clone, Copy)]
pub struct Evaluator {
    pub inputs: Inputs,
    pub phase: Phase,
    pub metrics: Tensor,
    /// The sums' length.
    pub words: usize,
}

impl Evaluator {
    /// Of a program that `tasks::evaluation` recorded.
    pub fn of(evaluation: &Inference) -> Self {
        let words = evaluation.program.len(evaluation.output);
        Evaluator { inputs: evaluation.inputs, phase: evaluation.phase, metrics: evaluation.output, words }
    }

    /// Runs the batches, and sums up in f64 what each gives. `unigram` are the token counts of the training text.
    ///
    /// # Errors
    /// A batch is one; the device fails.
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

/// How often a token occurs in the training text, every count one higher so that none is zero; NaN where the counts are
/// not known.
fn unigram_probability(counts: &[u64], total: f64, label: u32) -> f64 {
    if counts.is_empty() {
        return f64::NAN;
    }
    counts.get(label as usize).map_or(1.0, |&count| count as f64 + 1.0) / total
}
