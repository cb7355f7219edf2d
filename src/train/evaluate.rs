//! Measuring a model on batches with fixed masks.

use super::metrics::Validation;
use crate::Result;
use crate::data::Batch;
use crate::exec::{Executor, Phase, Tensor};
use crate::kernels::cross_entropy::METRICS;
use crate::kernels::step::StepState;
use crate::model::Inputs;
use bytemuck::Zeroable;
use std::borrow::Borrow;

/// Sums over the masked tokens of some batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub cross_entropy: f64,
    pub right: f64,
    pub masked_tokens: u64,
    pub unigram_cross_entropy: f64,
}

impl Sums {
    /// The means, as they are reported; `None` where no token was masked, since nothing was measured then.
    pub fn means(&self) -> Option<Validation> {
        let count = self.masked_tokens as f64;
        let cross_entropy = self.cross_entropy / count;
        (self.masked_tokens > 0).then(|| Validation {
            cross_entropy,
            perplexity: cross_entropy.exp(),
            accuracy: self.right / count,
            unigram_cross_entropy: self.unigram_cross_entropy / count,
            masked_tokens: self.masked_tokens,
        })
    }
}

/// Where a program measures: its batch, the phase to run, and the sums that the phase adds to.
#[derive(Clone, Copy)]
pub struct Gauge {
    pub inputs: Inputs,
    pub phase: Phase,
    pub metrics: Tensor,
}

impl Gauge {
    /// Runs the batches, and sums up in f64 what each gives. `unigram` are the token counts of the training text.
    ///
    /// # Errors
    /// A batch is one; the device fails.
    pub fn measure(
        &self,
        executor: &mut dyn Executor,
        batches: impl Iterator<Item = Result<impl Borrow<Batch>>>,
        unigram: &[u64],
    ) -> Result<Sums> {
        let total: f64 = unigram.iter().map(|&count| count as f64 + 1.0).sum();
        let mut sums = Sums::default();
        for batch in batches {
            let batch = batch?;
            let batch = batch.borrow();
            executor.write(self.metrics, &[0; METRICS]);
            self.inputs.write(executor, batch, StepState::zeroed())?;
            executor.run(self.phase)?;
            executor.request(&[self.metrics])?;
            for &label in batch.labels.iter().filter(|&&label| label != u32::MAX) {
                sums.masked_tokens += 1;
                sums.unigram_cross_entropy -= unigram_probability(unigram, total, label).ln();
            }
            while let Some(values) = executor.collect(false)? {
                sums.add(&values);
            }
        }
        while let Some(values) = executor.collect(true)? {
            sums.add(&values);
        }
        Ok(sums)
    }
}

impl Sums {
    fn add(&mut self, values: &[Vec<u32>]) {
        let metrics: &[f32] = bytemuck::cast_slice(&values[0]);
        self.cross_entropy += f64::from(metrics[0]);
        self.right += f64::from(metrics[1]);
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
