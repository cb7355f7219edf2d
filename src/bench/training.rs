//! Times whole training steps, with the program, the executor and the loader of `cloze train`, on random tokens.

use super::Timing;
use crate::Result;
use crate::config::Config;
use crate::data::{Documents, Encoded, Loader, SpecialTokens};
use crate::device::{Device, DeviceChoice, speed};
use crate::exec::host_memory::Resident;
use crate::exec::{Executor, Profile, Speed};
use crate::model::{ModelConfig, Shape};
use crate::random::{Site, Stream};
use crate::tasks::{Measured, Text};
use crate::train::Training;
use crate::train::planning;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps of warm-up before the timed ones. The first touches memory for the first time, and may wait for the driver.
const WARM_UP: u64 = 2;
/// Steps of a profile.
const PROFILED: u64 = 3;

/// The special tokens of a vocabulary that Cloze learns.
const SPECIALS: SpecialTokens = SpecialTokens { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

/// A model about to be trained on random tokens.
pub struct TrainingBench {
    config: Config,
    model: ModelConfig,
    device: Device,
    shape: Shape,
    training: Training,
    executor: Box<dyn Executor>,
    loader: Loader,
    ready: Duration,
    /// Steps done.
    step: u64,
}

/// What was measured, and on what. The field names stay the same from version to version.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The version of Cloze.
    pub version: &'static str,
    pub config: String,
    /// Name, driver, features and kernel variants in use.
    pub device: String,
    pub parameters: usize,
    pub shapes: Shapes,
    /// How many steps were timed, each by itself: from its first batch until its metrics are on the host.
    pub steps: u64,
    /// Throughput at the median time, padding included.
    pub tokens_per_second: f64,
    /// The median time.
    pub step_ms: f64,
    pub timing_ms: Timing,
    /// Floating-point operations of a step, as its kernels declare them.
    pub flops: u64,
    /// The achieved speed, in 10⁹ operations per second.
    pub gflops: f64,
    /// The device's measured peak in f32 multiply-adds, in 10⁹ operations per second.
    pub peak_gflops: f64,
    /// `gflops` as a share of `peak_gflops`.
    pub mfu: f64,
    /// On the CPU, the most memory that the process had, or `null` if the system does not tell. On a GPU, what its allocator
    /// has given out, or the planned memory if it does not tell.
    pub peak_bytes: Option<u64>,
    /// Memory that the program was planned to take.
    pub planned_bytes: u64,
    /// Seconds from opening the device until the program is in its memory. They include checking, measuring and compiling
    /// kernels.
    pub ready_seconds: f64,
    /// Milliseconds per step spent in kernels, by the device's own clock; only if a profile was asked for.
    pub kernels_ms: Option<f64>,
    /// The profile, with one line per kernel.
    pub profile: Option<String>,
    /// Cross-entropy of the last step, in nats.
    pub loss: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shapes {
    pub layers: usize,
    pub hidden_size: usize,
    pub heads: usize,
    pub intermediate_size: usize,
    pub vocab_size: usize,
    pub batch_size: usize,
    pub micro_batch: usize,
    pub sequence_length: usize,
    /// Masked tokens per microbatch.
    pub masked: usize,
}

impl TrainingBench {
    /// Prepares everything up to the first step, on the chosen device.
    ///
    /// # Errors
    /// The device can't be opened, or is too small; the config's tokenizer or prepared data can't be read; its vocabulary has
    /// only special tokens.
    pub fn new(config: Config, choice: &DeviceChoice) -> Result<Self> {
        let start = Instant::now();
        let device = planning::open(choice, &config)?;
        let model = config.model(planning::vocabulary(&config)?);
        let length = config.data.sequence_length;
        let task = config.task(&model);
        let (micro_batch, training, mut executor) = planning::start(&config, &model, &device)?;
        let (shape, ready) = (training.inputs.shape, start.elapsed());
        training.parameters.initialize(&mut *executor, config.seed);
        let document = |seed| random_text(config.train.batch_size * (length - 2), model.vocab_size as u32, seed);
        let documents: Arc<dyn Documents> = Arc::new(vec![document(config.seed)]);
        let others = Arc::new(vec![document(config.seed.wrapping_add(1))]);
        let text = Text { documents, others, specials: SPECIALS, vocab_size: model.vocab_size };
        let loader = Loader::new(task.examples(&text, length)?, micro_batch, config.seed, 0)?;
        Ok(TrainingBench { config, model, device, shape, training, executor, loader, ready, step: 0 })
    }

    /// Does a few steps of warm-up, then times `steps` more (at least one), profiles a few if asked to, and measures the
    /// device's peak speed.
    ///
    /// # Errors
    /// The device fails, or has no clock for a profile.
    pub fn run(mut self, steps: u64, profile: bool) -> Result<StepReport> {
        for _ in 0..WARM_UP {
            self.step()?;
        }
        let (mut times, mut loss) = (Vec::new(), f64::NAN);
        for _ in 0..steps.max(1) {
            let start = Instant::now();
            loss = self.step()?;
            times.push(start.elapsed());
        }
        let profile = if profile { Some(self.profile()?) } else { None };
        let TrainingBench { config, model, device, shape, training, executor, ready, .. } = self;
        let planned = executor.memory().total();
        let peak_bytes = match device {
            Device::Cpu => Resident::read().map(|resident| resident.peak),
            Device::Gpu(_) => executor.measured_memory().or(Some(planned)),
        };
        // Measuring the peak speed needs memory too.
        drop(executor);
        let peak = speed::flops_per_second(&device)?;
        let bytes_per_second = if profile.is_some() { speed::bytes_per_second(&device)? } else { f64::INFINITY };
        let reached = Speed { flops_per_second: peak, bytes_per_second };

        let timing = Timing::of(times);
        let seconds = timing.median / 1e3;
        let cost = |phase| training.program.cost(phase).1;
        let accumulation = (config.train.batch_size / shape.batch) as u64;
        let flops = accumulation * cost(training.accumulate) + cost(training.update);
        let achieved = flops as f64 / seconds;
        Ok(StepReport {
            version: env!("CARGO_PKG_VERSION"),
            config: config.name.clone(),
            device: device.describe(),
            parameters: training.parameters.count(),
            shapes: Shapes::of(&config, &model, shape),
            steps: steps.max(1),
            tokens_per_second: (config.train.batch_size * shape.sequence) as f64 / seconds,
            step_ms: timing.median,
            timing_ms: timing,
            flops,
            gflops: achieved / 1e9,
            peak_gflops: peak / 1e9,
            mfu: achieved / peak,
            peak_bytes,
            planned_bytes: planned,
            ready_seconds: ready.as_secs_f64(),
            kernels_ms: profile.as_ref().map(|profile| 1e3 * profile.seconds() / PROFILED as f64),
            profile: profile.map(|profile| profile.table(&reached)),
            loss,
        })
    }

    /// Profiles the kernels of a few more steps.
    fn profile(&mut self) -> Result<Profile> {
        self.executor.start_profile()?;
        for _ in 0..PROFILED {
            self.step()?;
        }
        self.executor.finish_profile()
    }

    /// Does one optimiser step as `Trainer` does, except that it waits for the device. Returns the step's loss.
    fn step(&mut self) -> Result<f64> {
        let accumulation = self.config.train.batch_size / self.shape.batch;
        let batches = (0..accumulation).map(|_| self.loader.next()).collect::<Result<Vec<_>>>()?;
        let rate = self.config.train.learning_rates().at(self.step);
        let executor = &mut *self.executor;
        self.training.step(executor, &batches, rate, self.config.seed, self.step)?;
        executor.request(&[self.training.metrics, self.training.optimizer])?;
        let values = executor.collect(true)?.expect("a request is answered");
        self.step += 1;
        Ok(Measured::from_words(&values[0]).loss())
    }
}

impl Shapes {
    fn of(config: &Config, model: &ModelConfig, shape: Shape) -> Shapes {
        Shapes {
            layers: model.layers,
            hidden_size: model.hidden_size,
            heads: model.heads,
            intermediate_size: model.intermediate_size,
            vocab_size: model.vocab_size,
            batch_size: config.train.batch_size,
            micro_batch: shape.batch,
            sequence_length: shape.sequence,
            masked: shape.selected,
        }
    }
}

/// A document of `tokens` random tokens, all equally likely. The vocabulary must have more than the special tokens.
fn random_text(tokens: usize, vocabulary: u32, seed: u64) -> Encoded {
    let (mut stream, first) = (Stream::new(seed, Site::Order, 0), SPECIALS.ids().len() as u32);
    let ids = (0..tokens).map(|_| first + stream.below(vocabulary - first)).collect();
    Encoded { ids, word_starts: vec![true; tokens] }
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shapes { layers, hidden_size, heads, vocab_size, .. } = self.shapes;
        let Shapes { batch_size, micro_batch, sequence_length, masked, .. } = self.shapes;
        let Timing { median, min, max, spread } = self.timing_ms;
        let (flops, share) = (self.flops as f64 / 1e9, 100.0 * self.mfu);
        let bytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let peak = self.peak_bytes.map_or_else(|| "not known on this system".into(), bytes);
        writeln!(f, "device      {}", self.device)?;
        writeln!(
            f,
            "model       {}: {layers} × {hidden_size}, {heads} heads, vocabulary {vocab_size}, {} parameters",
            self.config, self.parameters
        )?;
        writeln!(
            f,
            "step        {batch_size} × {sequence_length} tokens in microbatches of {micro_batch}, each with {masked} masked"
        )?;
        writeln!(
            f,
            "time        {median:.2} ms, the median of {} ({min:.2} to {max:.2}; middle half within {:.1} %)",
            self.steps,
            100.0 * spread
        )?;
        writeln!(f, "tokens      {:.0} a second", self.tokens_per_second)?;
        writeln!(
            f,
            "arithmetic  {flops:.1} GFLOP a step, {:.1} GFLOP/s: {share:.1} % of the measured peak of {:.1}",
            self.gflops, self.peak_gflops
        )?;
        writeln!(f, "memory      {peak} at most; {} planned", bytes(self.planned_bytes))?;
        if let (Some(kernels), Some(profile)) = (self.kernels_ms, &self.profile) {
            write!(f, "kernels     {kernels:.2} ms a step by the device's clock\n{profile}")?;
        }
        Ok(())
    }
}
