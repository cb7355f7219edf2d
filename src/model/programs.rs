//! The program of a model in training, and of its validation.

use super::architecture::declare;
use super::encoder::Encoder;
use super::head::Head;
use super::inputs::{Inputs, Shape};
use super::kept::Kept;
use super::parameters::{FlatTraining, Parameters};
use super::recorder::Recorder;
use crate::Result;
use crate::config::{ModelConfig, Recompute, TrainConfig};
use crate::data::Batch;
use crate::device::Device;
use crate::exec::{Executor, Phase, Program, Role, Tensor};
use crate::kernels::adamw::{AdamW, AdamWArgs};
use crate::kernels::cross_entropy::METRICS;
use crate::kernels::gradient_norm::{
    FIRST_LOSS_SCALE, GROWTH_INTERVAL, GradientNorm, GradientNormArgs, OPTIMIZER_WORDS, OptimizerState, PARTIALS,
    SumSquares, SumSquaresArgs,
};
use crate::kernels::step::StepState;
use crate::kernels::{Params, Precision};
use crate::random;
use bytemuck::Zeroable;

/// The settings of an optimiser step that stay the same for a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// On matrices; biases and norm weights are not decayed.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 for no limit.
    pub clip: f64,
    /// How activations and the weights of products are stored. With f16 the loss is scaled; parameters, their gradients and
    /// moments stay f32.
    pub precision: Precision,
    /// Whether a step may have several microbatches, whose gradients add up. Where it has one, gradients are there from
    /// `accumulate` to `update` alone, and a device may have activations in their place at other times.
    pub accumulates: bool,
}

impl Default for OptimizerConfig {
    /// As a config file that says nothing else.
    fn default() -> Self {
        OptimizerConfig {
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-6,
            weight_decay: 0.01,
            clip: 1.0,
            precision: Precision::F32,
            accumulates: true,
        }
    }
}

impl From<&TrainConfig> for OptimizerConfig {
    fn from(config: &TrainConfig) -> Self {
        let &TrainConfig { beta1, beta2, epsilon, weight_decay, clip, precision, .. } = config;
        OptimizerConfig { beta1, beta2, epsilon, weight_decay, clip, precision, accumulates: true }
    }
}

/// A model in training: microbatches add to the gradients, an update uses them up, and validation stands beside.
pub struct Training {
    pub program: Program,
    pub parameters: Parameters,
    pub inputs: Inputs,
    pub validation_inputs: Inputs,
    /// Sum of cross-entropies, right answers and labels of the microbatches since the host cleared it.
    pub metrics: Tensor,
    pub validation_metrics: Tensor,
    /// An `OptimizerState`.
    pub optimizer: Tensor,
    /// Forward and backward over a microbatch.
    pub accumulate: Phase,
    /// Gradient norm and AdamW.
    pub update: Phase,
    /// Forward over a validation batch.
    pub validate: Phase,
    /// Bytes of the logits that are there at once.
    pub logits_bytes: u64,
    accumulates: bool,
}

impl Training {
    /// Records the program. `binding` is the device's largest binding in bytes.
    ///
    /// # Errors
    /// A tensor is too large for any device.
    pub fn new(
        config: &ModelConfig,
        shape: Shape,
        validation_shape: Shape,
        optimizer: OptimizerConfig,
        recompute: Recompute,
        binding: u64,
    ) -> Result<Self> {
        let mut program = Program::of(optimizer.precision);
        let gradients = if optimizer.accumulates { Role::Gradient } else { Role::StepGradient };
        let parameters = Parameters::new(&mut program, declare(config), Some(gradients), binding);
        let inputs = Inputs::new(&mut program, config, shape, "batch");
        let validation_inputs = Inputs::new(&mut program, config, validation_shape, "validation");
        let metrics = program.tensor(Role::Output, "metrics", &[METRICS]);
        let validation_metrics = program.tensor(Role::Output, "validation metrics", &[METRICS]);
        let state = program.tensor(Role::Optimizer, "optimizer state", &[OPTIMIZER_WORDS]);
        let head = Head::new(config, &parameters, binding, optimizer.precision);
        let scaling = (optimizer.precision != Precision::F32).then_some(state);
        let mut r = Recorder { program, step: inputs.step, scope: String::new() };

        let accumulate = r.program.phase("accumulate");
        let encoder = Encoder::training(config, &parameters, shape, recompute);
        let (x, saved) = encoder.forward(&mut r, &inputs);
        let dx = head.train(&mut r, &inputs, x, metrics, scaling);
        encoder.backward(&mut r, &inputs, &saved, dx);

        let update = r.program.phase("update");
        record_update(&mut r, &parameters, state, optimizer);

        r.step = validation_inputs.step;
        let validate = r.program.phase("validate");
        let encoder = Encoder::new(config, &parameters, validation_shape, Kept::Masked);
        let (x, _) = encoder.forward(&mut r, &validation_inputs);
        head.evaluate(&mut r, &validation_inputs, x, validation_metrics);

        let program = r.program.finish()?;
        Ok(Training {
            program,
            parameters,
            inputs,
            validation_inputs,
            metrics,
            validation_metrics,
            optimizer: state,
            accumulate,
            update,
            validate,
            logits_bytes: head.logits_bytes(&inputs),
            accumulates: optimizer.accumulates,
        })
    }

    /// Gives the program its memory on a device, and writes what never changes. Parameters are still to be written:
    /// see [`Parameters::initialize`].
    ///
    /// # Errors
    /// The device is too small.
    pub fn start(&self, device: &Device, config: &ModelConfig) -> Result<Box<dyn Executor>> {
        let mut executor = device.executor(&self.program)?;
        self.inputs.prepare(&mut *executor, config);
        self.validation_inputs.prepare(&mut *executor, config);
        self.write_state(&mut *executor, OptimizerState::zeroed());
        Ok(executor)
    }

    /// Writes the optimiser's state, with the first loss scale where it has none.
    pub fn write_state(&self, executor: &mut dyn Executor, mut state: OptimizerState) {
        if state.loss_scale == 0.0 {
            state.loss_scale = FIRST_LOSS_SCALE;
        }
        executor.write(self.optimizer, state.words());
    }

    /// Queues one optimiser step over `batches`. `seed` is the run's, and `first` the microbatches it has behind it:
    /// together they tell dropout masks apart. Panics when there are several and the program does not accumulate.
    ///
    /// # Errors
    /// The device fails.
    pub fn step(
        &self,
        executor: &mut dyn Executor,
        batches: &[Batch],
        learning_rate: f64,
        seed: u64,
        first: u64,
    ) -> Result<()> {
        self.accumulate_gradients(executor, batches, learning_rate, seed, first)?;
        executor.run(self.update)
    }

    /// All of [`Training::step`] but the phase `update`, which uses the gradients up: until that is run they can be read. With
    /// f16 they are those of the scaled loss. Panics when there are several batches and the program does not accumulate.
    ///
    /// # Errors
    /// The device fails.
    pub fn accumulate_gradients(
        &self,
        executor: &mut dyn Executor,
        batches: &[Batch],
        learning_rate: f64,
        seed: u64,
        first: u64,
    ) -> Result<()> {
        assert!(self.accumulates || batches.len() == 1, "the program was recorded for one microbatch a step");
        let labels: u32 = batches.iter().map(|batch| batch.count).sum();
        let [seed_low, seed_high] = random::key(seed);
        executor.write(self.metrics, &[0; METRICS]);
        for (batch, number) in batches.iter().zip(first..) {
            let step = StepState {
                learning_rate: learning_rate as f32,
                loss_weight: 1.0 / labels.max(1) as f32,
                seed_low,
                seed_high,
                microbatch: number as u32,
            };
            self.inputs.write(executor, batch, step)?;
            executor.run(self.accumulate)?;
        }
        Ok(())
    }

    /// What the last step measured; waits for the device.
    ///
    /// # Errors
    /// The device fails.
    pub fn measured(&self, executor: &mut dyn Executor) -> Result<Measured> {
        Ok(Measured::from_words(&executor.read(self.metrics)?))
    }
}

/// Means over the masked tokens of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Cross-entropy in nats.
    pub loss: f64,
    /// Share of the tokens guessed right.
    pub accuracy: f64,
}

impl Measured {
    /// From the content of [`Training::metrics`].
    pub fn from_words(words: &[u32]) -> Self {
        let sums: &[f32] = bytemuck::cast_slice(words);
        let labels = f64::from(sums[2]).max(1.0);
        Measured { loss: f64::from(sums[0]) / labels, accuracy: f64::from(sums[1]) / labels }
    }
}

/// The gradients' norm over all flat tensors, then AdamW on each.
fn record_update(r: &mut Recorder, parameters: &Parameters, state: Tensor, config: OptimizerConfig) {
    r.scope = "optimizer".into();
    let count = parameters.flats.len() * PARTIALS;
    let partials = r.statistics("partials", count);
    for (number, flat) in parameters.flats.iter().enumerate() {
        let part = r.program.part(partials, number * PARTIALS, PARTIALS, "optimizer.partials");
        let gradients = flat.training.expect("a training program has gradients").gradients;
        r.program.launch(SumSquares { count: flat.len as u32 }, SumSquaresArgs { x: gradients, partials: part });
    }
    let (beta1, beta2) = (config.beta1 as f32, config.beta2 as f32);
    let (rest1, rest2) = ((1.0 - config.beta1) as f32, (1.0 - config.beta2) as f32);
    let growth_interval = if config.precision == Precision::F32 { 0 } else { GROWTH_INTERVAL };
    let (count, clip) = (count as u32, config.clip as f32);
    let norm = GradientNorm { count, clip, beta1, beta2, rest1, rest2, growth_interval };
    r.program.launch(norm, GradientNormArgs { partials, optimizer: state });
    for flat in &parameters.flats {
        let training = flat.training.expect("a training program has gradients");
        let adamw = AdamW {
            count: flat.len as u32,
            beta1,
            beta2,
            rest1,
            rest2,
            epsilon: config.epsilon as f32,
            weight_decay: if flat.decayed { config.weight_decay as f32 } else { 0.0 },
        };
        let FlatTraining { gradients, first_moments, second_moments } = training;
        let args = AdamWArgs {
            step: r.step,
            optimizer: state,
            parameters: flat.values,
            gradients,
            first_moments,
            second_moments,
            copy: flat.copy,
        };
        r.program.launch(adamw, args);
    }
}
