//! The training loop.

use super::divergence;
use super::evaluate::Gauge;
use super::metrics::{Metrics, MetricsLog, Validation};
use super::profiling::{HostTime, Profiling};
use super::text::{Required, prepared_data};
use super::{Progress, RunDir, Throughput, interrupt, learning_rate, planning, resume, saving};
use crate::Result;
use crate::checkpoint::saved::read_tokenizer;
use crate::checkpoint::{CheckpointStore, DataSeen, SavedModel, TrainingState};
use crate::config::{Config, MicroBatch, ModelConfig};
use crate::data::{Batch, Loader, Masker, Masking, Packing, Prepared, Split, validation_batches};
use crate::device::Device;
use crate::exec::Executor;
use crate::kernels::gradient_norm::OptimizerState;
use crate::kernels::{Params, Precision};
use crate::model::{Kind, Measured, Training};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Seed of the validation masks: the same whatever the seed of a run, so that runs can be compared.
pub const VALIDATION_SEED: u64 = 0xC102E;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// By a signal: the state is saved.
    Interrupted,
}

pub struct Trainer {
    config: Config,
    model: ModelConfig,
    /// Holds the lock on the run's folder.
    run: RunDir,
    store: CheckpointStore,
    metrics_log: MetricsLog,
    prepared: Prepared,
    training: Training,
    executor: Box<dyn Executor>,
    loader: Loader,
    validation: Vec<Batch>,
    state: TrainingState,
    /// Steps whose metrics are still on the device.
    pending: VecDeque<PendingStep>,
    throughput: Throughput,
    /// When the last metrics arrived.
    last: Instant,
    /// When this process began to train.
    started: Instant,
    /// Training time before that.
    earlier_seconds: f64,
    /// The last validation, for the closing words.
    last_validation: Option<Validation>,
    host: HostTime,
    profiling: Option<Profiling>,
}

/// What the host knows of a step whose metrics it waits for.
struct PendingStep {
    step: u64,
    tokens: u64,
    learning_rate: f64,
}

impl Trainer {
    /// Prepares everything up to the first step. With `resume`, goes on from the newest sound checkpoint.
    ///
    /// # Errors
    /// What the data, the device or the checkpoint refuse.
    pub fn new(config: Config, run: RunDir, device: &Device, resume: bool) -> Result<Self> {
        let store = CheckpointStore::new(&run.checkpoints(), config.checkpoint.keep, config.checkpoint.keep_best)?;
        let checkpoint = if resume { Some(resume::newest(&store, run.path())?) } else { None };
        let origin = match (&checkpoint, &config.model.init) {
            (None, Some(init)) => Some(origin(&config, init)?),
            _ => None,
        };
        let mut config = config;
        if let (Some(checkpoint), MicroBatch::Auto) = (&checkpoint, config.train.micro_batch) {
            config.train.micro_batch = resume::micro_batch(checkpoint, &config)?;
        }
        // A resume that is refused leaves the run as it was.
        match &checkpoint {
            Some(checkpoint) => {
                resume::check(checkpoint, &config)?;
                resume::warn_of_jump(&run.config(), &config, checkpoint.state().step);
            }
            None => run.write_config(&config)?,
        }
        let tokenizer = checkpoint.as_ref().map(read_tokenizer).transpose()?;
        let required = match (&tokenizer, &origin) {
            (Some(tokenizer), _) => Required::Resume(tokenizer),
            (None, Some(origin)) => Required::Init(&origin.tokenizer),
            (None, None) => Required::Nothing,
        };
        // Making the data may take hours.
        let vocabulary =
            required.tokenizer().map_or_else(|| planning::vocabulary(&config), |own| Ok(own.vocab_size()))?;
        planning::check(&config, &config.model(vocabulary), device)?;
        let prepared = prepared_data(&config, run.path(), required, &interrupt::flag())?;
        let data = DataSeen { folder: config.data.prepared.clone(), digest: prepared.digest() };
        if let Some(checkpoint) = &checkpoint {
            resume::check_data(checkpoint, &data)?;
        }
        let model = config.model(prepared.vocab_size());
        let length = config.data.sequence_length;
        let masker = Masker::new(Masking::from(&config.masking), prepared.specials(), prepared.vocab_size())?;
        let validation_masking = Masking { rate: config.validation.rate as f32, ..Default::default() };
        let validation_masker = Masker::new(validation_masking, prepared.specials(), prepared.vocab_size())?;
        if let Some(checkpoint) = &checkpoint {
            device.go_on_with(&checkpoint.state().variants);
        }
        let (micro_batch, training, mut executor) = planning::start(&config, &model, device)?;
        if config.train.micro_batch == MicroBatch::Auto {
            log::info!("train.micro_batch: {micro_batch} of {} sequences at once", config.train.batch_size);
            // What fits may be another number tomorrow.
            config.train.micro_batch = MicroBatch::Sequences(micro_batch);
            run.write_config(&config)?;
        }

        let packing = |split| Packing::new(prepared.split(split).clone(), prepared.specials(), length).map(Arc::new);
        let validation = {
            let packing = packing(Split::Validation)?;
            let limit = Some(config.validation.max_sequences);
            validation_batches(&packing, &validation_masker, micro_batch, VALIDATION_SEED, limit)?
                .collect::<Result<_>>()?
        };
        let state = match &checkpoint {
            Some(checkpoint) => {
                let state = resume::restore(checkpoint, &model, &training, &mut *executor)?;
                run.write_config(&config)?;
                state
            }
            None => {
                match &origin {
                    Some(origin) => training.parameters.write(&mut *executor, Kind::Value, origin.values()),
                    None => training.parameters.initialize(&mut *executor, config.seed),
                }
                TrainingState { seed: config.seed, ..Default::default() }
            }
        };
        let variants = device.variants_of(&training.program);
        let config_digest = config.digest();
        let state = TrainingState { config_digest, sequence_length: length, micro_batch, variants, data, ..state };
        let first = state.sequences.div_ceil(micro_batch as u64);
        let loader = Loader::new(packing(Split::Train)?, masker, micro_batch, config.seed, first)?;
        let metrics_log = MetricsLog::open(&run.metrics(), state.step)?;
        let trainer = Trainer {
            config,
            model,
            run,
            store,
            metrics_log,
            prepared,
            training,
            executor,
            loader,
            validation,
            earlier_seconds: state.elapsed_seconds,
            throughput: Throughput::after(state.tokens),
            state,
            pending: VecDeque::new(),
            last: Instant::now(),
            started: Instant::now(),
            last_validation: None,
            host: HostTime::default(),
            profiling: None,
        };
        trainer.announce(device);
        Ok(trainer)
    }

    /// Has the next `steps` steps profiled, after a few to warm up. Training goes on after them.
    ///
    /// # Errors
    /// The device has no timestamps, or fails.
    pub fn profile(&mut self, device: &Device, steps: u64) -> Result<()> {
        let steps_of = (self.state.step, self.config.train.steps);
        let profiling = Profiling::new(&mut *self.executor, device, self.run.path(), steps, steps_of)?;
        self.profiling = Some(profiling);
        Ok(())
    }

    /// Says what will be trained on what.
    fn announce(&self, device: &Device) {
        let (launches, flops) = self.training.program.cost(self.training.accumulate);
        log::info!("device: {}", device.describe());
        device.origins().iter().for_each(|origins| log::info!("kernels: {origins}"));
        log::info!("memory: {}", self.executor.memory());
        log::info!(
            "model: {} parameters; a microbatch is {launches} launches and {:.1} GFLOP",
            self.training.parameters.count(),
            flops as f64 / 1e9
        );
        let tokens = |split| self.prepared.split(split).tokens();
        log::info!("data: {} training and {} validation tokens", tokens(Split::Train), tokens(Split::Validation));
        if self.state.step > 0 {
            log::info!("resuming after step {}", self.state.step);
        }
    }

    /// Trains to the last step, or until it is interrupted.
    ///
    /// # Errors
    /// The device or the disk fails, or losses stay other than finite.
    pub fn run(&mut self) -> Result<Outcome> {
        let steps = self.config.train.steps;
        let progress = Progress::new(steps, (self.state.step, self.state.tokens), self.config.train.log_every);
        (self.last, self.started) = (Instant::now(), Instant::now());
        // The validation that a signal cut short.
        if self.state.step > 0 && self.state.validation_loss.is_none() && self.is_due(self.config.validation.every) {
            self.after_step(&progress)?;
        }
        while self.state.step < steps {
            self.timed_step(&progress)?;
            let (step, last) = (self.state.step, self.state.step == steps);
            if let Some(profiling) = &mut self.profiling
                && profiling.after(
                    &mut *self.executor,
                    (step, last || interrupt::interrupted()),
                    self.host,
                    &progress,
                )?
            {
                self.profiling = None;
            }
            if self.after_step(&progress)? && !last {
                return Ok(Outcome::Interrupted);
            }
        }
        log::debug!("{}", self.host);
        if let Some(measured) = self.executor.measured_memory() {
            log::debug!("memory: {} bytes measured, {} planned", measured, self.executor.memory().total());
        }
        Ok(Outcome::Finished)
    }

    /// Validates and saves where it is time to. A validation that is the best so far is saved at once, and so is the state when
    /// a signal has come, which it returns.
    fn after_step(&mut self, progress: &Progress) -> Result<bool> {
        let last = self.state.step == self.config.train.steps;
        let checkpoint = &self.config.checkpoint;
        let (due, keeps_best) = (self.is_due(checkpoint.every), checkpoint.every > 0 && checkpoint.keep_best);
        let validated = if self.is_due(self.config.validation.every) || last { self.validate(progress)? } else { None };
        let best = validated.is_some() && self.state.best_step == Some(self.state.step);
        let interrupted = interrupt::interrupted();
        if due || last || (best && keeps_best) || interrupted {
            self.save(progress, validated)?;
        }
        Ok(interrupted)
    }

    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.state.step.is_multiple_of(every)
    }

    /// A step, and the metrics that have arrived meanwhile, with what they cost the host.
    fn timed_step(&mut self, progress: &Progress) -> Result<()> {
        if let Some(profiling) = &mut self.profiling {
            profiling.before(&mut *self.executor, self.state.step, self.host)?;
        }
        let (start, waited) = (Instant::now(), self.executor.waited());
        self.step()?;
        self.collect(progress, false)?;
        self.host.step(start, waited, &*self.executor);
        Ok(())
    }

    /// Queues one optimiser step on the device.
    fn step(&mut self) -> Result<()> {
        let batches: Vec<Batch> = (0..self.config.train.batch_size / self.state.micro_batch)
            .map(|_| self.loader.next())
            .collect::<Result<_>>()?;
        let rate = learning_rate(&self.config.train, self.state.step);
        let executor = &mut *self.executor;
        let first = self.state.sequences.div_ceil(self.state.micro_batch as u64);
        self.training.step(executor, &batches, rate, self.config.seed, self.state.step)?;
        executor.request(&[self.training.metrics, self.training.optimizer])?;
        self.state.step += 1;
        self.state.sequences = (first + batches.len() as u64) * self.state.micro_batch as u64;
        self.state.tokens += batches.iter().map(|batch| u64::from(batch.tokens)).sum::<u64>();
        let (step, tokens) = (self.state.step, self.state.tokens);
        self.pending.push_back(PendingStep { step, tokens, learning_rate: rate });
        Ok(())
    }

    /// Takes in the metrics that have arrived; with `wait`, all that are outstanding.
    fn collect(&mut self, progress: &Progress, wait: bool) -> Result<()> {
        while let Some(values) = self.executor.collect(wait && !self.pending.is_empty())? {
            let pending = self.pending.pop_front().expect("every request belongs to a step");
            let (measured, optimizer) = (Measured::from_words(&values[0]), OptimizerState::from_words(&values[1]));
            let seconds = self.last.elapsed().as_secs_f64();
            self.last = Instant::now();
            let tokens_per_second = self.throughput.update(pending.tokens, seconds);
            let metrics = Metrics {
                step: pending.step,
                tokens: pending.tokens,
                loss: measured.loss,
                accuracy: measured.accuracy,
                learning_rate: pending.learning_rate,
                grad_norm: f64::from(optimizer.gradient_norm),
                tokens_per_second,
                loss_scale: (self.config.train.precision != Precision::F32).then_some(f64::from(optimizer.loss_scale)),
            };
            self.metrics_log.step(&metrics)?;
            progress.step(&metrics);
            self.check_finite(&metrics, optimizer, progress)?;
        }
        Ok(())
    }

    /// A step whose gradient is not finite was skipped on the device; many in a row end the training.
    fn check_finite(&self, metrics: &Metrics, optimizer: &OptimizerState, progress: &Progress) -> Result<()> {
        let in_a_row = optimizer.skipped_in_a_row as u64;
        if in_a_row == 0 {
            return Ok(());
        }
        progress.note(&divergence::skipped(metrics, optimizer));
        match in_a_row >= self.config.train.max_skipped_steps {
            true => Err(divergence::diverged(metrics, in_a_row)),
            false => Ok(()),
        }
    }

    /// Measures the validation part with its fixed masks; `None` when a signal has come meanwhile, or when nothing of it can be
    /// masked, so that there is no figure, and no best.
    fn validate(&mut self, progress: &Progress) -> Result<Option<Validation>> {
        self.collect(progress, true)?;
        let training = &self.training;
        let (inputs, metrics) = (training.validation_inputs, training.validation_metrics);
        let gauge = Gauge { inputs, phase: training.validate, metrics };
        let unigram = self.prepared.unigram();
        let batches = self.validation.iter().take_while(|_| !interrupt::interrupted()).map(Ok);
        let means = gauge.measure(&mut *self.executor, batches, unigram)?.means();
        if interrupt::interrupted() {
            return Ok(None);
        }
        self.last_validation = means.clone();
        self.last = Instant::now();
        let Some(validation) = means else {
            let step = self.state.step;
            progress.note(&format!("step {step}: no token of the validation part can be masked: no figures"));
            return Ok(None);
        };
        self.metrics_log.validation(self.state.step, &validation)?;
        progress.validation(self.state.step, &validation);
        if self.state.best_validation_loss.is_none_or(|best| validation.cross_entropy < best) {
            self.state.best_validation_loss = Some(validation.cross_entropy);
            self.state.best_step = Some(self.state.step);
        }
        self.state.validated_step = Some(self.state.step);
        Ok(Some(validation))
    }

    fn save(&mut self, progress: &Progress, validated: Option<Validation>) -> Result<()> {
        self.collect(progress, true)?;
        self.state.validation_loss = validated.map(|validation| validation.cross_entropy);
        self.state.elapsed_seconds = self.earlier_seconds + self.started.elapsed().as_secs_f64();
        let (model, training, data) = (&self.model, &self.training, &self.prepared);
        let executor = &mut *self.executor;
        self.metrics_log.sync()?;
        let path = self.store.save(&self.state, |out| saving::write(out, model, training, executor, data))?;
        self.metrics_log.forget_until(self.state.step)?;
        log::debug!("saved {}", path.display());
        self.last = Instant::now();
        Ok(())
    }

    /// How the tokenizer writes a mask.
    pub fn mask_token(&self) -> String {
        self.prepared.tokenizer().token(self.prepared.specials().mask).unwrap_or_default()
    }

    /// Where the training is, and what it began with.
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

/// The model of `model.init`, which the config must fit.
fn origin(config: &Config, init: &Path) -> Result<SavedModel> {
    let origin = SavedModel::open_with_head(init)?;
    config.check_origin(&origin.config)?;
    log::info!("starting from {}", origin.path().display());
    Ok(origin)
}
