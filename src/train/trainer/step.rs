//! Runs one optimiser step, and collects its metrics.

use super::Trainer;
use super::start::share;
use crate::Result;
use crate::data::Batch;
use crate::kernels::Params;
use crate::kernels::gradient_norm::OptimizerState;
use crate::tasks::Measured;
use crate::train::pending::PendingStep;
use crate::train::{Metrics, Sink, divergence, histogram};
use std::time::Instant;

impl Trainer {
    /// Does a step, takes in the metrics that have arrived meanwhile, and measures the host's time for both.
    pub(super) fn timed_step(&mut self) -> Result<()> {
        if let Some(profiling) = &mut self.profiling {
            profiling.before(&mut *self.executor, self.state.step, self.host)?;
        }
        let (start, waited) = (Instant::now(), self.executor.waited());
        self.step()?;
        self.collect(false)?;
        self.host.step(start, waited, &*self.executor);
        Ok(())
    }

    /// Queues one optimiser step on the device.
    fn step(&mut self) -> Result<()> {
        let batches: Vec<Batch> = (0..share(&self.config, self.state.micro_batch, &*self.collective).microbatches)
            .map(|_| self.loader.next())
            .collect::<Result<_>>()?;
        let rate = self.config.train.learning_rates().at(self.state.step);
        let executor = &mut *self.executor;
        let first = self.state.sequences.div_ceil(self.state.micro_batch as u64);
        let (shown, mut histograms) = (self.sinks.wants_histograms(self.state.step + 1), Vec::new());
        self.training.accumulate_gradients(
            executor,
            &batches,
            self.config.seed,
            self.state.step,
            &mut *self.collective,
        )?;
        if shown {
            histograms.extend(histogram::of_gradients(&self.training, executor)?);
        }
        self.training.run_update(executor, rate)?;
        executor.request(&[self.training.metrics, self.training.optimizer])?;
        if shown {
            histograms.extend(histogram::of_weights(&self.training, executor)?);
        }
        self.state.step += 1;
        self.state.sequences =
            (first + (batches.len() * self.collective.size()) as u64) * self.state.micro_batch as u64;
        let tokens = batches.iter().map(|batch| u64::from(batch.tokens)).sum();
        self.state.tokens += tokens;
        self.pending.push(PendingStep { step: self.state.step, tokens, learning_rate: rate, histograms });
        Ok(())
    }

    /// Takes in the metrics that have arrived; with `wait`, all that are outstanding.
    pub(super) fn collect(&mut self, wait: bool) -> Result<()> {
        while let Some(values) = self.executor.collect(wait && !self.pending.is_empty())? {
            let (measured, optimizer) = (Measured::from_words(&values[0]), OptimizerState::from_words(&values[1]));
            let (metrics, histograms) = self.pending.arrived(&measured, self.task.losses(), optimizer);
            self.sinks.step(&metrics)?;
            if !histograms.is_empty() {
                self.sinks.histograms(metrics.step, &histograms)?;
            }
            self.check_finite(&metrics, optimizer)?;
        }
        Ok(())
    }

    /// Reports a step that the device skipped because its gradient is not finite. Too many in a row end the training.
    fn check_finite(&mut self, metrics: &Metrics, optimizer: &OptimizerState) -> Result<()> {
        let in_a_row = optimizer.skipped_in_a_row as u64;
        if in_a_row == 0 {
            return Ok(());
        }
        self.sinks.note(&divergence::skipped(metrics, optimizer))?;
        match in_a_row >= self.config.train.max_skipped_steps {
            true => Err(divergence::diverged(metrics, in_a_row)),
            false => Ok(()),
        }
    }
}
