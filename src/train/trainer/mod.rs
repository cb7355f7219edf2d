//! The training loop.

mod start;
mod step;

use super::evaluate::Evaluator;
use super::pending::PendingSteps;
use super::profiling::{HostTime, Profiling};
use super::program::Training;
use super::{RunDir, Sink, Sinks, Validation, interrupt, saving};
use crate::Result;
use crate::checkpoint::{CheckpointStore, TrainingState};
use crate::collective::Collective;
use crate::config::Config;
use crate::data::{Batch, Loader, Prepared};
use crate::device::Device;
use crate::exec::Executor;
use crate::tasks::Task;
use std::time::Instant;

/// Seed of the validation masks. It does not depend on the seed of a run, so that runs can be compared.
pub const VALIDATION_SEED: u64 = 0xC102E;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// A signal ended it, and the state is saved.
    Interrupted,
}

pub struct Trainer {
    config: Config,
    task: Box<dyn Task>,
    /// Holds the lock on the run's folder.
    run: RunDir,
    store: CheckpointStore,
    sinks: Sinks,
    prepared: Prepared,
    training: Training,
    executor: Box<dyn Executor>,
    loader: Loader,
    /// The processes that train together.
    collective: Box<dyn Collective>,
    validation: Vec<Batch>,
    state: TrainingState,
    pending: PendingSteps,
    /// When this process began to train.
    started: Instant,
    /// Seconds of training before that.
    earlier_seconds: f64,
    /// The last validation, for the closing lines.
    last_validation: Option<Validation>,
    host: HostTime,
    profiling: Option<Profiling>,
}

impl Trainer {
    /// Profiles the next `steps` steps, after a few of warm-up. Training continues after them.
    ///
    /// # Errors
    /// The device has no timestamps, or fails.
    pub fn profile(&mut self, device: &Device, steps: u64) -> Result<()> {
        let steps_of = (self.state.step, self.config.train.steps);
        let profiling = Profiling::new(&mut *self.executor, device, self.run.path(), steps, steps_of)?;
        self.profiling = Some(profiling);
        Ok(())
    }

    /// Trains to the last step, or until it is interrupted. Measurements also go to `sinks`, besides those that the config asks
    /// for; `sinks` are dropped when it returns.
    ///
    /// # Errors
    /// The device, the disk or a sink fails, or too many steps in a row are not finite.
    pub fn run(&mut self, sinks: Vec<Box<dyn Sink>>) -> Result<Outcome> {
        let own = self.sinks.0.len();
        self.sinks.0.extend(sinks);
        let outcome = self.all_steps();
        self.sinks.0.truncate(own);
        outcome
    }

    fn all_steps(&mut self) -> Result<Outcome> {
        let steps = self.config.train.steps;
        self.started = Instant::now();
        self.pending.restart_clock();
        // Repeats a validation that a signal cut short.
        if self.state.step > 0 && self.state.validation_loss.is_none() && self.is_due(self.config.validation.every) {
            self.after_step()?;
        }
        while self.state.step < steps {
            self.timed_step()?;
            let (step, last) = (self.state.step, self.state.step == steps);
            if let Some(profiling) = &mut self.profiling
                && profiling.after(
                    &mut *self.executor,
                    (step, last || interrupt::interrupted()),
                    self.host,
                    &mut self.sinks,
                )?
            {
                self.profiling = None;
            }
            if self.after_step()? && !last {
                return Ok(Outcome::Interrupted);
            }
        }
        log::debug!("{}", self.host);
        if let Some(measured) = self.executor.measured_memory() {
            log::debug!("memory: {} bytes measured, {} planned", measured, self.executor.memory().total());
        }
        Ok(Outcome::Finished)
    }

    /// Validates and saves if it is time to. The state is also saved after a validation that is the best so far, and when a
    /// signal has come. Returns whether a signal has come.
    fn after_step(&mut self) -> Result<bool> {
        let last = self.state.step == self.config.train.steps;
        let checkpoint = &self.config.checkpoint;
        let (due, keeps_best) = (self.is_due(checkpoint.every), checkpoint.every > 0 && checkpoint.keep_best);
        let validated = if self.is_due(self.config.validation.every) || last { self.validate()? } else { None };
        let best = validated.is_some() && self.state.best_step == Some(self.state.step);
        let interrupted = interrupt::interrupted();
        if due || last || (best && keeps_best) || interrupted {
            self.save(validated)?;
        }
        Ok(interrupted)
    }

    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.state.step.is_multiple_of(every)
    }

    /// Measures the validation part with its fixed masks. `None` if a signal has come meanwhile, or if none of its tokens can
    /// be masked, so that there is nothing to measure.
    fn validate(&mut self) -> Result<Option<Validation>> {
        self.collect(true)?;
        let training = &self.training;
        let (inputs, metrics) = (training.validation_inputs, training.validation_metrics);
        let words = training.program.len(metrics);
        let evaluator = Evaluator { inputs, phase: training.validate, metrics, words };
        let unigram = self.prepared.unigram();
        let batches = self.validation.iter().take_while(|_| !interrupt::interrupted()).map(Ok);
        let means = evaluator.measure(&mut *self.executor, batches, unigram)?.means(self.task.losses());
        if interrupt::interrupted() {
            return Ok(None);
        }
        self.last_validation = means.clone();
        self.pending.restart_clock();
        let Some(validation) = means else {
            let step = self.state.step;
            self.sinks.note(&format!("step {step}: no token of the validation part can be masked: no measurement"))?;
            return Ok(None);
        };
        self.sinks.validation(self.state.step, &validation)?;
        if self.state.best_validation_loss.is_none_or(|best| validation.loss < best) {
            self.state.best_validation_loss = Some(validation.loss);
            self.state.best_step = Some(self.state.step);
        }
        self.state.validated_step = Some(self.state.step);
        Ok(Some(validation))
    }

    fn save(&mut self, validated: Option<Validation>) -> Result<()> {
        self.collect(true)?;
        self.state.validation_loss = validated.map(|validation| validation.loss);
        self.state.elapsed_seconds = self.earlier_seconds + self.started.elapsed().as_secs_f64();
        let (task, training, data) = (&*self.task, &self.training, &self.prepared);
        let executor = &mut *self.executor;
        self.sinks.sync()?;
        let path = self.store.save(&self.state, |out| saving::write(out, task, training, executor, data))?;
        self.sinks.saved(self.state.step)?;
        log::debug!("saved {}", path.display());
        self.pending.restart_clock();
        Ok(())
    }

    /// The mask token's text, such as `[MASK]`.
    pub fn mask_token(&self) -> String {
        self.prepared.tokenizer().token(self.prepared.specials().mask).unwrap_or_default()
    }

    /// The state of the training: how far it is, and what it began with.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Optimiser steps done.
    pub fn steps_done(&self) -> u64 {
        self.state.step
    }

    /// The validation after the last step, if there was one in this process.
    pub fn last_validation(&self) -> Option<&Validation> {
        self.last_validation.as_ref()
    }
}
