//! How a training begins: what it starts from, its data, its program on the device, and its state.

use super::{Trainer, VALIDATION_SEED};
use crate::Result;
use crate::checkpoint::saved::read_tokenizer;
use crate::checkpoint::{Checkpoint, CheckpointStore, DataSeen, SavedModel, TrainingState};
use crate::collective::{Collective, Single};
use crate::config::{Config, MicroBatch};
use crate::data::{Batch, Documents, Examples, Loader, Prepared, Share, Split, Tokenizer, validation_batches};
use crate::device::Device;
use crate::exec::Executor;
use crate::model::{Kind, ModelConfig};
use crate::tasks::{Task, Text};
use crate::train::pending::PendingSteps;
use crate::train::profiling::HostTime;
use crate::train::program::Training;
use crate::train::text::{Required, prepared_data};
use crate::train::{RunDir, Sinks, interrupt, planning, resume};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

impl Trainer {
    /// Prepares everything up to the first step. With `resume`, continues from the newest checkpoint that is whole.
    ///
    /// # Errors
    /// The data, the device or the checkpoint can't be used.
    pub fn new(mut config: Config, run: RunDir, device: &Device, resume: bool) -> Result<Self> {
        let store = CheckpointStore::new(&run.checkpoints(), config.checkpoint.keep, config.checkpoint.keep_best)?;
        let origin = Origin::find(&mut config, &run, &store, resume)?;
        let data = Data::open(&config, &run, &origin, device)?;
        let model = config.model(data.prepared.vocab_size());
        let task = config.task(&model);
        let mut on_device = OnDevice::start(&mut config, &run, &model, &origin, device)?;
        let validation = data.validation(&config, &model, on_device.micro_batch)?;
        let state = on_device.state(&config, &run, &*task, &origin, &data, device)?;
        let collective = Box::new(Single);
        let loader = data.loader(&config, &*task, &state, &*collective)?;
        let trainer = Trainer {
            sinks: Sinks::of_run(&config, &run, state.step)?,
            pending: PendingSteps::after(state.tokens, config.train.precision),
            earlier_seconds: state.elapsed_seconds,
            config,
            task,
            run,
            store,
            prepared: data.prepared,
            training: on_device.training,
            executor: on_device.executor,
            loader,
            collective,
            validation,
            state,
            started: Instant::now(),
            last_validation: None,
            host: HostTime::default(),
            profiling: None,
        };
        trainer.announce(device);
        Ok(trainer)
    }

    /// Logs which model will be trained, on which device and data.
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
}

/// What a training starts from.
enum Origin {
    /// A checkpoint of the run, and its tokenizer.
    Checkpoint(Checkpoint, Tokenizer),
    /// The model of `model.init`.
    Model(SavedModel),
    Nothing,
}

impl Origin {
    /// Finds the origin. For a new run it writes the config; a resume that is refused leaves the run as it was. In a resume, a
    /// microbatch of "auto" becomes that of the checkpoint.
    fn find(config: &mut Config, run: &RunDir, store: &CheckpointStore, resume: bool) -> Result<Origin> {
        if resume {
            return Origin::of_checkpoint(config, run, resume::newest(store, run.path())?);
        }
        let origin = match &config.model.init {
            Some(init) => Origin::Model(model_of(config, init)?),
            None => Origin::Nothing,
        };
        run.write_config(config)?;
        Ok(origin)
    }

    fn of_checkpoint(config: &mut Config, run: &RunDir, checkpoint: Checkpoint) -> Result<Origin> {
        if config.train.micro_batch == MicroBatch::Auto {
            config.train.micro_batch = resume::micro_batch(&checkpoint, config)?;
        }
        resume::check(&checkpoint, config)?;
        resume::warn_of_jump(&run.config(), config, checkpoint.state().step);
        let tokenizer = read_tokenizer(&checkpoint)?;
        Ok(Origin::Checkpoint(checkpoint, tokenizer))
    }

    fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Origin::Checkpoint(checkpoint, _) => Some(checkpoint),
            Origin::Model(_) | Origin::Nothing => None,
        }
    }

    fn required(&self) -> Required<'_> {
        match self {
            Origin::Checkpoint(_, tokenizer) => Required::Resume(tokenizer),
            Origin::Model(model) => Required::Init(&model.tokenizer),
            Origin::Nothing => Required::Nothing,
        }
    }
}

/// The model of `model.init`, which the config must fit.
fn model_of(config: &Config, init: &Path) -> Result<SavedModel> {
    let origin = SavedModel::open_for(init, config.task.kind)?;
    config.check_origin(&origin.config)?;
    log::info!("starting from {}", origin.path().display());
    Ok(origin)
}

/// What a training reads.
struct Data {
    prepared: Prepared,
    seen: DataSeen,
}

impl Data {
    /// Opens the data, or makes it if it is missing. That may take hours, so first it checks that the training fits the device.
    fn open(config: &Config, run: &RunDir, origin: &Origin, device: &Device) -> Result<Data> {
        let required = origin.required();
        let vocabulary =
            required.tokenizer().map_or_else(|| planning::vocabulary(config), |own| Ok(own.vocab_size()))?;
        planning::check(config, &config.model(vocabulary), device)?;
        let prepared = prepared_data(config, run.path(), required, &interrupt::flag())?;
        let seen = DataSeen { folder: config.data.prepared.clone(), digest: prepared.digest() };
        if let Some(checkpoint) = origin.checkpoint() {
            resume::check_data(checkpoint, &seen)?;
        }
        Ok(Data { prepared, seen })
    }

    /// A task's sequences of a part of the data.
    fn examples(&self, config: &Config, task: &dyn Task, split: Split) -> Result<Arc<dyn Examples>> {
        let documents: Arc<dyn Documents> = self.prepared.split(split).clone();
        // If validation has a single document, other documents (for pairs) are taken from the training text.
        let others = match split == Split::Validation && documents.documents() < 2 {
            true => self.prepared.split(Split::Train).clone(),
            false => documents.clone(),
        };
        let (specials, vocab_size) = (self.prepared.specials(), self.prepared.vocab_size());
        task.examples(&Text { documents, others, specials, vocab_size }, config.data.sequence_length)
    }

    /// The batches that every validation uses.
    fn validation(&self, config: &Config, model: &ModelConfig, micro_batch: usize) -> Result<Vec<Batch>> {
        let task = config.validation_task(model);
        let examples = self.examples(config, &*task, Split::Validation)?;
        let limit = Some(config.validation.max_sequences);
        validation_batches(&*examples, micro_batch, VALIDATION_SEED, limit)?.collect()
    }

    /// This process's training batches, from where the state has got to.
    fn loader(
        &self,
        config: &Config,
        task: &dyn Task,
        state: &TrainingState,
        collective: &dyn Collective,
    ) -> Result<Loader> {
        let (micro_batch, examples) = (state.micro_batch, self.examples(config, task, Split::Train)?);
        let first = state.sequences.div_ceil(micro_batch as u64);
        Loader::of_share(examples, micro_batch, config.seed, first, share(config, micro_batch, collective))
    }
}

/// The share of each step that a process takes, in microbatches of `micro_batch` sequences.
pub(super) fn share(config: &Config, micro_batch: usize, collective: &dyn Collective) -> Share {
    let (rank, size) = (collective.rank(), collective.size());
    Share { rank, size, microbatches: config.train.batch_size / micro_batch / size }
}

/// The program with its memory on the device.
struct OnDevice {
    /// Sequences per microbatch, for which the program was recorded.
    micro_batch: usize,
    training: Training,
    executor: Box<dyn Executor>,
}

impl OnDevice {
    /// Puts the program on the device. A microbatch of "auto" becomes the largest that fits.
    fn start(
        config: &mut Config,
        run: &RunDir,
        model: &ModelConfig,
        origin: &Origin,
        device: &Device,
    ) -> Result<OnDevice> {
        if let Some(checkpoint) = origin.checkpoint() {
            device.go_on_with(&checkpoint.state().variants);
        }
        let (micro_batch, training, executor) = planning::start(config, model, device)?;
        if config.train.micro_batch == MicroBatch::Auto {
            log::info!("train.micro_batch: {micro_batch} of {} sequences at once", config.train.batch_size);
            // It is kept in the run's config, since at a resume another number may fit.
            config.train.micro_batch = MicroBatch::Sequences(micro_batch);
            run.write_config(config)?;
        }
        Ok(OnDevice { micro_batch, training, executor })
    }

    /// The state in which training begins. Its parameters and moments are written to the device.
    fn state(
        &mut self,
        config: &Config,
        run: &RunDir,
        task: &dyn Task,
        origin: &Origin,
        data: &Data,
        device: &Device,
    ) -> Result<TrainingState> {
        let (training, executor) = (&self.training, &mut *self.executor);
        let mut state = TrainingState { seed: config.seed, ..Default::default() };
        match origin {
            Origin::Checkpoint(checkpoint, _) => {
                state = resume::restore(checkpoint, task, training, executor)?;
                run.write_config(config)?;
            }
            Origin::Model(origin) => training.parameters.write(executor, Kind::Value, origin.values()),
            Origin::Nothing => training.parameters.initialize(executor, config.seed),
        }
        Ok(TrainingState {
            config_digest: config.digest(),
            sequence_length: config.data.sequence_length,
            micro_batch: self.micro_batch,
            optimizer: config.train.optimizer,
            variants: device.variants_of(&training.program),
            data: data.seen.clone(),
            ..state
        })
    }
}
