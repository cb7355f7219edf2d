//! The pseudo-log-likelihood of a text under a model.

use super::evaluate::Evaluator;
use crate::Result;
use crate::data::{Packing, Scoring};
use crate::device::Device;
use crate::model::{ModelConfig, Shape};
use crate::tasks::{self, MaskedLm};
use serde::Serialize;

/// The score of a text's tokens in nats. Each token is guessed from all others except the rest of its word: see [`Scoring`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PseudoLikelihood {
    /// The sum over the tokens.
    pub pseudo_log_likelihood: f64,
    pub pll_per_word: f64,
    pub pll_per_token: f64,
    /// exp(-`pll_per_token`)
    pub pseudo_perplexity: f64,
    pub words: u64,
    pub tokens: u64,
}

impl PseudoLikelihood {
    /// Scores all sequences, or `limit` that are evenly spread over the data. `values` are those of the parameters, and `batch`
    /// is how many masked sequences go through the model at once. `progress` is called before each batch with the number of
    /// batches that are done, and of all.
    ///
    /// # Errors
    /// The device fails, or is too small; or the text can't be read.
    pub fn measure(
        (config, values): (&ModelConfig, &[Vec<f32>]),
        device: &Device,
        packing: &Packing,
        batch: usize,
        limit: Option<usize>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<PseudoLikelihood> {
        let scoring = Scoring::new(packing, limit)?;
        let batch = batch.min(scoring.rows.max(1));
        let selected = batch * scoring.masked_per_sequence();
        let shape = Shape { batch, sequence: packing.sequence_length(), selected };
        let evaluation = tasks::evaluation(&MaskedLm::new(config), shape, device.binding())?;
        let mut executor = evaluation.start(device, config, values)?;
        let evaluator = Evaluator::of(&evaluation);
        let count = scoring.rows.div_ceil(batch);
        let batches = scoring.batches(batch).enumerate().map(|(done, batch)| {
            progress(done, count);
            batch
        });
        let sums = evaluator.measure(&mut *executor, batches, &[])?;
        let cross_entropy = sums.measured.losses.first().map_or(0.0, |words| words.cross_entropy);
        Ok(Self::of(-cross_entropy, scoring.words, sums.masked_tokens))
    }

    fn of(total: f64, words: u64, tokens: u64) -> Self {
        let per_token = total / tokens.max(1) as f64;
        PseudoLikelihood {
            pseudo_log_likelihood: total,
            pll_per_word: total / words.max(1) as f64,
            pll_per_token: per_token,
            pseudo_perplexity: (-per_token).exp(),
            words,
            tokens,
        }
    }
}
