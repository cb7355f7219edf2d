//! What a training needs, worked out before anything is allocated: the microbatch that fits, memory, and time.

use super::program::{Training, TrainingOptions};
use crate::config::{Config, MicroBatch};
use crate::data::{Manifest, Tokenizer};
use crate::device::{Device, DeviceChoice};
use crate::exec::Speed;
use crate::exec::plan::{MemoryLimits, Plan};
use crate::exec::{Executor, Memory};
use crate::kernels::Sizes;
use crate::model::{ModelConfig, Recompute, Shape, weights};
use crate::tasks::{self, Task};
use crate::{Error, Remedy, Result};
use serde::Serialize;
use std::time::Duration;

/// The share of the free memory that "auto" uses. The rest is for the data, the driver, and other programs.
const SHARE: f64 = 0.9;

/// The sizes of a config's training before there is a tokenizer; the vocabulary is the one that the config asks for.
pub fn sizes(config: &Config) -> Sizes {
    let model = config.model(config.tokenizer.vocab_size);
    let batch = match config.train.micro_batch {
        MicroBatch::Sequences(number) => number,
        MicroBatch::Auto => config.train.batch_size,
    };
    let task = config.task(&model);
    let Shape { batch, sequence, selected } = tasks::shape(&*task, batch, config.data.sequence_length);
    Sizes {
        name: "training",
        batch: batch as u32,
        sequence: sequence as u32,
        width: model.hidden_size as u32,
        heads: model.heads as u32,
        inner: model.intermediate_size as u32,
        vocabulary: model.vocab_size as u32,
        masked: selected as u32,
    }
}

/// Opens the device for a config's training, with the config's `submission_ms` and `hang_seconds`.
///
/// # Errors
/// As [`Device::open_for`]; or the device does not have the config's precision.
pub fn open(choice: &DeviceChoice, config: &Config) -> Result<Device> {
    let device = Device::open_for(choice, &sizes(config))?.ready_for(config.train.precision)?;
    let device = device.submitting_every(Duration::from_millis(config.train.submission_ms));
    Ok(device.giving_up_after(Duration::from_secs(config.train.hang_seconds)))
}

/// Records the program of a config's training.
///
/// # Errors
/// A tensor is too large for any device.
pub fn record(
    config: &Config,
    model: &ModelConfig,
    micro_batch: usize,
    recompute: Recompute,
    binding: u64,
) -> Result<Training> {
    let task = config.task(model);
    let shape = |task: &dyn Task| tasks::shape(task, micro_batch, config.data.sequence_length);
    let options = TrainingOptions {
        shape: shape(&*task),
        validation_shape: shape(&*config.validation_task(model)),
        recompute,
        precision: config.train.precision,
        grad_clip: config.train.grad_clip,
        accumulates: micro_batch < config.train.batch_size,
        binding,
    };
    Training::new(&*task, &*config.train.optimizer(), options)
}

/// Puts the training of a config on a device, with the microbatch of the config. If that is "auto", it takes the largest
/// divisor of the batch that fits, or, on a device that does not tell its memory, the largest whose allocation succeeds.
///
/// # Errors
/// Nothing fits; the device fails.
pub fn start(config: &Config, model: &ModelConfig, device: &Device) -> Result<(usize, Training, Box<dyn Executor>)> {
    let mut candidates = match config.train.micro_batch {
        MicroBatch::Sequences(number) => vec![number],
        MicroBatch::Auto => divisors(config.train.batch_size),
    };
    if config.train.micro_batch == MicroBatch::Auto {
        let chosen = largest(config, model, config.train.recompute, device)?;
        candidates.retain(|&number| number <= chosen);
    }
    let last = candidates.last().copied();
    for number in candidates {
        let training = record(config, model, number, config.train.recompute, device.binding())?;
        match training.start(device, model) {
            Err(Error::OutOfMemory(problem)) if Some(number) != last => {
                log::info!("microbatches of {number} do not fit: {problem}");
            }
            executor => return Ok((number, training, executor?)),
        }
    }
    unreachable!("the last candidate is returned or refused")
}

/// The largest divisor of the batch whose plan the device can hold. Nothing is allocated.
///
/// # Errors
/// Not even one sequence fits; the error says what is too large.
pub fn largest(config: &Config, model: &ModelConfig, recompute: Recompute, device: &Device) -> Result<usize> {
    let limits = device.limits();
    let limits = MemoryLimits { memory: limits.memory.map(|memory| (SHARE * memory as f64) as u64), ..limits };
    let mut refused = None;
    for number in divisors(config.train.batch_size) {
        let training = record(config, model, number, recompute, limits.binding);
        let plan = |Training { program, .. }| Plan::new(&program, limits.without(device.scratch(&program)));
        match training.and_then(plan) {
            Ok(_) => return Ok(number),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.expect("a batch has divisors"))
}

/// Refuses a config whose training does not fit the device, before any data is prepared for it.
///
/// # Errors
/// As [`start`], without allocating.
pub fn check(config: &Config, model: &ModelConfig, device: &Device) -> Result<()> {
    let MicroBatch::Sequences(number) = config.train.micro_batch else {
        return largest(config, model, config.train.recompute, device).map(drop);
    };
    let limits = device.limits();
    let program = record(config, model, number, config.train.recompute, limits.binding)?.program;
    Plan::new(&program, limits.without(device.scratch(&program))).map(drop)
}

/// The divisors of a number, from the largest to 1.
fn divisors(number: usize) -> Vec<usize> {
    let small = (1..).take_while(|small| small * small <= number).filter(|small| number.is_multiple_of(*small));
    let mut all: Vec<usize> = small.flat_map(|small| [small, number / small]).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    all
}

/// The memory and time that a training needs, for each mode of recomputing.
#[derive(Debug, Serialize)]
pub struct TrainingEstimate {
    pub device: String,
    /// Free memory of the device in bytes, where it is known.
    pub memory: Option<u64>,
    /// Bytes of the device's largest binding.
    pub binding: u64,
    pub sequence_length: usize,
    pub batch_size: usize,
    pub rows: Vec<Row>,
    /// Bytes of the host's memory that saving a checkpoint takes for copies.
    pub saving_bytes: u64,
}

/// The estimate for one mode of recomputing.
#[derive(Debug, Serialize)]
pub struct Row {
    pub recompute: Recompute,
    /// Whether this is the config's mode.
    pub configured: bool,
    /// Sequences a microbatch: the config's, or what "auto" chooses.
    pub micro_batch: usize,
    /// What "auto" would choose; `None` when nothing fits.
    pub auto_micro_batch: Option<usize>,
    /// Bytes by purpose; their sum is `peak_bytes`. If activations share the memory of the gradients, only what goes beyond the
    /// gradients counts as activations.
    pub memory: Option<Memory>,
    /// Bytes of the largest part of the logits that exists at once.
    pub logits_bytes: u64,
    pub peak_bytes: u64,
    /// Kernel launches of a step: all its microbatches and the update.
    pub launches: usize,
    pub gflop: f64,
    /// The least time of a step, by the measured speed of the device.
    pub seconds: f64,
    /// Why the device cannot hold it.
    pub refused: Option<String>,
    /// What may help against it.
    pub remedy: Option<Remedy>,
}

impl Row {
    fn refused_with(self, error: &Error) -> Row {
        Row { refused: Some(error.to_string()), remedy: error.remedy(), ..self }
    }
}

impl TrainingEstimate {
    /// # Errors
    /// The prepared data or the tokenizer that the config names cannot be read.
    pub fn new(config: &Config, device: &Device, speed: Speed) -> Result<TrainingEstimate> {
        let model = config.model(vocabulary(config)?);
        let limits = device.limits();
        let rows: Vec<Row> =
            Recompute::ALL.iter().map(|&mode| row(config, &model, mode, device, limits, speed)).collect();
        Ok(TrainingEstimate {
            device: device.describe_briefly(),
            memory: limits.memory,
            binding: limits.binding,
            sequence_length: config.data.sequence_length,
            batch_size: config.train.batch_size,
            rows,
            saving_bytes: weights::HELD,
        })
    }

    /// If the training does not fit with any mode of recomputing and any microbatch, the row that says why; `None` if it fits.
    pub fn refusal(&self) -> Option<&Row> {
        let fits = |row: &Row| row.refused.is_none() || row.auto_micro_batch.is_some();
        if self.rows.iter().any(fits) {
            return None;
        }
        self.rows.iter().rev().find(|row| row.refused.is_some())
    }
}

fn row(
    config: &Config,
    model: &ModelConfig,
    mode: Recompute,
    device: &Device,
    limits: MemoryLimits,
    speed: Speed,
) -> Row {
    let auto = largest(config, model, mode, device).ok();
    let micro_batch = match config.train.micro_batch {
        MicroBatch::Sequences(number) => number,
        MicroBatch::Auto => auto.unwrap_or(1),
    };
    let mut row = Row {
        recompute: mode,
        configured: mode == config.train.recompute,
        micro_batch,
        auto_micro_batch: auto,
        memory: None,
        logits_bytes: 0,
        peak_bytes: 0,
        launches: 0,
        gflop: 0.0,
        seconds: 0.0,
        refused: None,
        remedy: None,
    };
    let training = match record(config, model, micro_batch, mode, limits.binding) {
        Ok(training) => training,
        Err(error) => return row.refused_with(&error),
    };
    let (program, plan) = (&training.program, Plan::unchecked(&training.program, limits.arena));
    let scratch = device.scratch(program);
    for (phase, times) in [(training.accumulate, config.train.batch_size / micro_batch), (training.update, 1)] {
        let (launches, flops) = program.cost(phase);
        row.launches += times * launches;
        row.gflop += times as f64 * flops as f64 / 1e9;
        row.seconds += times as f64 * program.least_seconds(phase, speed.flops_per_second, speed.bytes_per_second);
    }
    let planned = plan.memory();
    let memory = Memory { workspace: planned.workspace + scratch, ..planned };
    row.memory = Some(memory);
    row.logits_bytes = training.largest_bytes;
    row.peak_bytes = memory.total();
    match plan.check(program, limits.without(scratch)) {
        Ok(()) => row,
        Err(error) => row.refused_with(&error),
    }
}

/// The size of the vocabulary that a training would have: that of the prepared data or the tokenizer that the config names, or
/// else the size that the config asks for, though a small text may yield fewer entries.
///
/// # Errors
/// The prepared data or the tokenizer cannot be read.
pub fn vocabulary(config: &Config) -> Result<usize> {
    match (&config.data.prepared, &config.tokenizer.file) {
        (Some(folder), _) => Ok(Manifest::read(folder)?.vocab_size),
        (None, Some(file)) => Ok(Tokenizer::load(file)?.vocab_size()),
        (None, None) => Ok(config.tokenizer.vocab_size),
    }
}

#[cfg(test)]
mod tests {
    use super::divisors;

    #[test]
    fn divisors_of_a_batch() {
        assert_eq!(divisors(12), [12, 6, 4, 3, 2, 1]);
        assert_eq!(divisors(16), [16, 8, 4, 2, 1]);
        assert_eq!(divisors(1), [1]);
    }
}
