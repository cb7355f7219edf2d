//! The program that trains and validates a model: encoder, task head and optimiser.

use crate::Result;
use crate::collective::{Collective, Single};
use crate::data::Batch;
use crate::device::Device;
use crate::exec::{Executor, Phase, Program, Role, Tensor};
use crate::kernels::gradient_norm::{OPTIMIZER_WORDS, OptimizerState};
use crate::kernels::step::{StepState, UPDATE_WORDS, UpdateState};
use crate::kernels::{Params, Precision};
use crate::model::encoder::Encoder;
use crate::model::parameters::Flat;
use crate::model::recorder::Recorder;
use crate::model::{Contents, Inputs, Microbatch, ModelConfig, Parameters, Recompute, RowSet, Shape};
use crate::optim::{self, LossScale, Optimizer};
use crate::random;
use crate::tasks::{self, Measured, Task};

/// How a model is trained, apart from the task and the optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingOptions {
    /// The shape of a microbatch.
    pub shape: Shape,
    pub validation_shape: Shape,
    pub recompute: Recompute,
    /// How activations and the weights of products are stored. With f16 the loss is scaled; parameters, their gradients and
    /// moments stay f32.
    pub precision: Precision,
    /// Largest global gradient norm; 0 for no limit.
    pub grad_clip: f64,
    /// Whether a step may have several microbatches, whose gradients add up (gradient accumulation). If it has only one,
    /// gradients live only from `accumulate` to `update`, and a device may use their memory for activations at other times.
    pub accumulates: bool,
    /// The device's largest binding in bytes.
    pub binding: u64,
}

impl TrainingOptions {
    /// Batches of this shape in training and validation; everything else is as in a config file with defaults only.
    pub fn new(shape: Shape, binding: u64) -> Self {
        TrainingOptions {
            shape,
            validation_shape: shape,
            recompute: Recompute::None,
            precision: Precision::F32,
            grad_clip: 1.0,
            accumulates: true,
            binding,
        }
    }
}

/// A model in training: microbatches add to the gradients, and an update uses them up. It can also be validated.
pub struct Training {
    pub program: Program,
    pub parameters: Parameters,
    pub inputs: Inputs,
    pub validation_inputs: Inputs,
    /// Sums of what the task measured in the microbatches since the host cleared them.
    pub metrics: Tensor,
    pub validation_metrics: Tensor,
    /// An `OptimizerState`.
    pub optimizer: Tensor,
    /// An `UpdateState`.
    update_state: Tensor,
    /// Forward and backward over a microbatch.
    pub accumulate: Phase,
    /// Gradient norm and the optimiser's update.
    pub update: Phase,
    /// Forward over a validation batch.
    pub validate: Phase,
    /// Bytes of the head's largest activation, such as the logits that exist at once.
    pub largest_bytes: u64,
    accumulates: bool,
}

impl Training {
    /// Records the program.
    ///
    /// # Errors
    /// A tensor is too large for any device.
    pub fn new(task: &dyn Task, optimizer: &dyn Optimizer, options: TrainingOptions) -> Result<Self> {
        let TrainingOptions { shape, validation_shape, recompute, precision, grad_clip, accumulates, binding } =
            options;
        let config = task.config();
        let mut program = Program::of(precision);
        let list = tasks::parameters(task);
        let gradients = if accumulates { Role::Gradient } else { Role::StepGradient };
        let layout = optim::layout(optimizer, &list, gradients);
        let parameters = Parameters::new(&mut program, list, Some(&layout), binding);
        let contents = |orders| Contents { orders, classes: task.has_classes() };
        let inputs = Inputs::new(&mut program, config, shape, contents(true), "batch");
        let validation_inputs = Inputs::new(&mut program, config, validation_shape, contents(false), "validation");
        let sums = tasks::measured::words(task.losses().len());
        let metrics = program.tensor(Role::Output, "metrics", &[sums]);
        let validation_metrics = program.tensor(Role::Output, "validation metrics", &[sums]);
        let state = program.tensor(Role::Optimizer, "optimizer state", &[OPTIMIZER_WORDS]);
        let update_state = program.tensor(Role::Input, "update", &[UPDATE_WORDS]);
        let head = task.head(&parameters, binding, precision);
        let scale = LossScale::of(precision);
        let mut r = Recorder::new(program, &inputs);

        let accumulate = r.program.phase("accumulate");
        let encoder = Encoder::training(config, &parameters, shape, recompute);
        let (x, saved) = encoder.forward(&mut r, &inputs);
        let dx = head.record_loss(&mut r, &inputs, x, metrics, scale.is_dynamic().then_some(state));
        encoder.backward(&mut r, &inputs, &saved, dx);

        let update = r.program.phase("update");
        r.scope = "optimizer".into();
        optim::record_norm(&mut r, &parameters, state, optimizer.decays(), grad_clip, scale);
        optimizer.record_update(&mut r, &parameters, state, update_state);

        let mut r = Recorder::new(r.program, &validation_inputs);
        let validate = r.program.phase("validate");
        let encoder = Encoder::new(config, &parameters, validation_shape, RowSet::Selected);
        let (x, _) = encoder.forward(&mut r, &validation_inputs);
        head.record_eval(&mut r, &validation_inputs, x, validation_metrics);

        Ok(Training {
            program: r.program.finish()?,
            parameters,
            inputs,
            validation_inputs,
            metrics,
            validation_metrics,
            optimizer: state,
            update_state,
            accumulate,
            update,
            validate,
            largest_bytes: head.largest_bytes(&inputs),
            accumulates,
        })
    }

    /// Gives the program its memory on a device, and writes what never changes. The caller still has to write the parameters,
    /// for example by [`Parameters::initialize`].
    ///
    /// # Errors
    /// The device is too small.
    pub fn start(&self, device: &Device, config: &ModelConfig) -> Result<Box<dyn Executor>> {
        let mut executor = device.executor(&self.program)?;
        self.inputs.prepare(&mut *executor, config);
        self.validation_inputs.prepare(&mut *executor, config);
        self.write_state(&mut *executor, optim::loss_scale::first_state());
        Ok(executor)
    }

    /// Writes the optimiser's state.
    pub fn write_state(&self, executor: &mut dyn Executor, state: OptimizerState) {
        executor.write(self.optimizer, state.words());
    }

    /// Queues one optimiser step over `batches`, the microbatches of its batch in order. `seed` is the run's, and `number` is
    /// how many steps it has done; together with a row's place in the whole batch they determine the dropout masks. Panics if
    /// there are several microbatches and the program does not accumulate.
    ///
    /// # Errors
    /// The device fails.
    pub fn step(
        &self,
        executor: &mut dyn Executor,
        batches: &[Batch],
        learning_rate: f64,
        seed: u64,
        number: u64,
    ) -> Result<()> {
        self.accumulate_gradients(executor, batches, seed, number, &mut Single)?;
        self.run_update(executor, learning_rate)
    }

    /// [`Training::step`] without the update. The update uses the gradients up, so they can be read until then; with f16 they
    /// are those of the scaled loss. `batches` are this process's share of the step: the batch of a step is the shares of all
    /// processes in the order of their ranks. Gradients and measurements become the sums over all processes.
    ///
    /// # Errors
    /// The device fails, or another process does.
    pub fn accumulate_gradients(
        &self,
        executor: &mut dyn Executor,
        batches: &[Batch],
        seed: u64,
        number: u64,
        collective: &mut dyn Collective,
    ) -> Result<()> {
        assert!(self.accumulates || batches.len() == 1, "the program was recorded for one microbatch a step");
        let own = batches.iter().fold([0; 4], |sums, batch| add(sums, self.counts(batch)));
        let all = collective.all_gather(&own)?;
        let sum =
            |counts: &[Vec<u32>]| counts.iter().fold([0; 4], |sums, own| add(sums, own[..].try_into().expect("4")));
        let (before, [labels, classes, ..]) = (sum(&all[..collective.rank()]), sum(&all));
        let [loss_weight, class_weight] = [labels, classes].map(|count: u32| 1.0 / count.max(1) as f32);
        let [seed_low, seed_high] = random::key(seed);
        self.clear_metrics(executor);
        let [.., mut first_row, mut first_selected] = before;
        for batch in batches {
            let step = StepState { loss_weight, seed_low, seed_high, number: number as u32, first_row };
            self.inputs.write(executor, batch, Microbatch { step, first_selected, class_weight })?;
            executor.run(self.accumulate)?;
            first_row += self.inputs.shape.rows() as u32;
            first_selected += batch.selected_count;
        }
        self.exchange(executor, collective)
    }

    /// How many labels, classes, rows and selected rows a microbatch has.
    fn counts(&self, batch: &Batch) -> [u32; 4] {
        [batch.label_count, batch.classes.count, self.inputs.shape.rows() as u32, batch.selected_count]
    }

    /// Sums up the gradients and the measurements of all processes.
    fn exchange(&self, executor: &mut dyn Executor, collective: &mut dyn Collective) -> Result<()> {
        if collective.size() == 1 {
            return Ok(());
        }
        let gradients = self.parameters.flats.iter().map(Flat::gradients);
        for tensor in gradients.chain([self.metrics]) {
            let mut words = executor.read(tensor)?;
            collective.all_reduce(bytemuck::cast_slice_mut(&mut words))?;
            executor.write(tensor, &words);
        }
        Ok(())
    }

    /// Queues the update of the parameters from the accumulated gradients.
    ///
    /// # Errors
    /// The device fails.
    pub fn run_update(&self, executor: &mut dyn Executor, learning_rate: f64) -> Result<()> {
        executor.write(self.update_state, UpdateState { learning_rate: learning_rate as f32 }.words());
        executor.run(self.update)
    }

    /// Sets the sums of what is measured back to zero, before the first microbatch of a step.
    pub fn clear_metrics(&self, executor: &mut dyn Executor) {
        executor.write(self.metrics, &vec![0; self.program.len(self.metrics)]);
    }

    /// What the last step measured; waits for the device.
    ///
    /// # Errors
    /// The device fails.
    pub fn measured(&self, executor: &mut dyn Executor) -> Result<Measured> {
        Ok(Measured::from_words(&executor.read(self.metrics)?))
    }
}

fn add(a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
    std::array::from_fn(|at| a[at] + b[at])
}
