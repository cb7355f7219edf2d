//! Training in f16: a whole model against the same in f32, the loss scale, and what a skipped step leaves alone.
//!
//! A number in f16 has 11 bits, so each store rounds by up to 2⁻¹¹ = 4.9e-4 of it. Errors of a gradient add up over the layers
//! like independent roundings. The bounds are about three times what was measured.

use crate::adapter::{computes_in, gpus};
use cloze::device::Device;
use cloze::doctor::golden::Golden;
use cloze::exec::Executor;
use cloze::kernels::Precision;
use cloze::kernels::gradient_norm::{FIRST_LOSS_SCALE, GROWTH_INTERVAL, OptimizerState};
use cloze::kernels::{Arg, Elem, KERNELS, Params, SIZES};
use cloze::model::{Kind, Recompute};
use cloze::optim::AdamW;
use cloze::tasks::MaskedLm;
use cloze::train::{Training, TrainingOptions};

/// Allowed relative error of a mean loss.
const LOSS: f64 = 2e-5;
/// Allowed error of a parameter's gradient in the L2 norm, relative to it.
const GRADIENT: f64 = 4e-3;

/// A model in training on a device.
struct Trained {
    golden: Golden,
    training: Training,
    executor: Box<dyn Executor>,
    steps: u64,
}

impl Trained {
    fn new(device: &Device, precision: Precision) -> Trained {
        Self::with(device, precision, Recompute::None)
    }

    fn with(device: &Device, precision: Precision, recompute: Recompute) -> Trained {
        let golden = Golden::embedded().unwrap();
        let options = TrainingOptions::new(golden.shape, device.binding());
        let options = TrainingOptions { recompute, precision, grad_clip: 0.0, accumulates: false, ..options };
        let training = Training::new(&MaskedLm::new(&golden.config), &AdamW::default(), options).unwrap();
        let mut executor = training.start(device, &golden.config).unwrap();
        training.parameters.write(&mut *executor, Kind::Value, &golden.values);
        Trained { golden, training, executor, steps: 0 }
    }

    /// Sets the loss scale, and how many finite steps it has lasted.
    fn scale(mut self, loss_scale: f32, steps_at_scale: u32) -> Self {
        let state = OptimizerState { loss_scale, steps_at_scale: steps_at_scale as f32, ..self.state() };
        self.training.write_state(&mut *self.executor, state);
        self
    }

    /// Runs one optimiser step and returns its mean loss.
    fn step(&mut self) -> f64 {
        let batches = std::slice::from_ref(&self.golden.batch);
        self.training.step(&mut *self.executor, batches, 1e-3, 1, self.steps).unwrap();
        self.steps += 1;
        self.training.measured(&mut *self.executor).unwrap().loss()
    }

    fn state(&mut self) -> OptimizerState {
        *OptimizerState::from_words(&self.executor.read(self.training.optimizer).unwrap())
    }

    fn read(&mut self, kind: Kind) -> Vec<Vec<f32>> {
        self.training.parameters.read(&mut *self.executor, kind).unwrap()
    }

    /// The first moments after one step from zero are the gradients times 1 − beta1.
    fn gradients(mut self) -> (f64, Vec<Vec<f32>>) {
        (self.step(), self.read(Kind::State("first")))
    }
}

fn devices(test: &str) -> Vec<Device> {
    let gpus = gpus(test).iter().filter(|gpu| computes_in(gpu, Precision::F16, test));
    std::iter::once(Device::Cpu).chain(gpus.map(|gpu| Device::Gpu(Box::new(gpu.clone())))).collect()
}

#[test]
fn losses_and_gradients_are_those_of_f32() {
    let (want_loss, want) = Trained::new(&Device::Cpu, Precision::F32).gradients();
    for device in devices("half") {
        let (loss, got) = Trained::new(&device, Precision::F16).scale(1024.0, 0).gradients();
        let error = (loss - want_loss).abs() / want_loss;
        println!("{}: loss {error:.2e}", device.describe());
        assert!(error > 0.0, "the very same loss: nothing was stored as f16");
        assert!(error < LOSS, "loss {loss}, in f32 {want_loss}");
        let golden = Golden::embedded().unwrap();
        let names = Trained::new(&Device::Cpu, Precision::F32).training.parameters.list;
        assert_eq!(golden.values.len(), got.len());
        for ((got, want), parameter) in got.iter().zip(&want).zip(names) {
            let norm = l2(want.iter().copied());
            let error = l2(got.iter().zip(want).map(|(got, want)| got - want));
            println!("  {:<40} {:.2e}", parameter.name, error / norm);
            assert!(error <= GRADIENT * norm + 1e-6, "`{}`: {error:e} of {norm:e}", parameter.name);
        }
    }
}

/// What is computed again starts from numbers that were stored, and therefore rounded, in between.
#[test]
fn recomputing_changes_little() {
    let (loss, want) = Trained::new(&Device::Cpu, Precision::F16).scale(1024.0, 0).gradients();
    for &recompute in &Recompute::ALL[1..] {
        let again = Trained::with(&Device::Cpu, Precision::F16, recompute).scale(1024.0, 0);
        let (again, got) = again.gradients();
        assert_eq!((loss, want.len()), (again, got.len()));
        for (got, want) in got.iter().zip(&want) {
            let error = l2(got.iter().zip(want).map(|(got, want)| got - want));
            assert!(error <= GRADIENT * l2(want.iter().copied()) + 1e-6, "{recompute:?}: {error}");
        }
    }
}

#[test]
fn ten_steps_lose_what_they_do_in_f32() {
    let mut full = Trained::new(&Device::Cpu, Precision::F32);
    let want: Vec<f64> = (0..10).map(|_| full.step()).collect();
    for device in devices("half") {
        let mut half = Trained::new(&device, Precision::F16);
        // Steps that overflow at first are skipped, so the curve starts later.
        let mut got = Vec::new();
        while got.len() < 10 {
            let (loss, before) = (half.step(), half.state().skipped_in_a_row);
            assert!(half.steps < 30, "{:?}", half.state());
            if before == 0.0 {
                got.push(loss);
            }
        }
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 3e-3 * want, "{got}, in f32 {want}");
        }
    }
}

/// The largest finite scale makes the gradients of activations overflow.
#[test]
fn an_overflow_halves_the_scale_and_skips_the_step() {
    for device in devices("half") {
        let scale = 16_777_216.0 * 64.0;
        let mut trained = Trained::new(&device, Precision::F16).scale(scale, 7);
        let before: Vec<_> =
            [Kind::Value, Kind::State("first"), Kind::State("second")].map(|kind| trained.read(kind)).into();
        let loss = trained.step();
        let state = trained.state();
        assert!(loss.is_finite());
        assert_eq!((state.loss_scale, state.steps_at_scale), (scale / 2.0, 0.0), "{}", device.describe());
        assert_eq!((state.skipped, state.skipped_in_a_row, state.coefficient, state.applied), (1.0, 1.0, 0.0, 0.0));
        let after: Vec<_> =
            [Kind::Value, Kind::State("first"), Kind::State("second")].map(|kind| trained.read(kind)).into();
        assert!(before == after, "a skipped step changed something");
        assert_eq!(trained.step(), loss, "the model is the same as before");
        // Nothing of the overflow stays in memory.
        let mut trained = trained.scale(1.0, 0);
        assert_eq!(trained.step(), loss);
        assert!(trained.step() < loss, "{}: a step that is not skipped learns", device.describe());
    }
}

/// Scales are powers of two, so gradients are equal except for the smallest.
#[test]
fn the_scale_doubles_after_enough_good_steps_and_leaves_the_gradient_alone() {
    for device in devices("half") {
        let mut trained = Trained::new(&device, Precision::F16).scale(256.0, GROWTH_INTERVAL - 1);
        trained.step();
        let state = trained.state();
        assert_eq!((state.loss_scale, state.steps_at_scale, state.skipped), (512.0, 0.0, 0.0));
        assert_eq!(state.coefficient, 1.0 / 256.0);

        let mut other = Trained::new(&device, Precision::F16).scale(2048.0, 0);
        other.step();
        let (norm, want) = (other.state().gradient_norm, state.gradient_norm);
        assert!((norm - want).abs() < 1e-3 * want, "{norm} at another scale than {want}");
        assert_eq!(other.state().steps_at_scale, 1.0);
    }
}

#[test]
fn a_training_begins_with_the_first_scale() {
    let mut trained = Trained::new(&Device::Cpu, Precision::F16);
    assert_eq!(trained.state().loss_scale, FIRST_LOSS_SCALE);
}

/// Sums, statistics and losses are never stored as f16. These are working memory, arguments that are added to, and outputs with
/// fewer elements than the largest output of the kernel.
#[test]
fn sums_are_f32() {
    for kernel in KERNELS {
        let case = (kernel.bench)(&SIZES[0]);
        let len = |arg: &Arg| (arg.len)(&case.params);
        let written: Vec<&Arg> = kernel.args.iter().filter(|arg| !arg.access.reads_only()).collect();
        let largest = written.iter().filter(|arg| !arg.access.is_scratch()).map(|arg| len(arg)).max();
        let gradients = kernel.mathematics.gradient.map_or(&[][..], |gradient| gradient.of);
        for arg in written {
            let added_to = arg.access.reads() && !gradients.contains(&(arg.name, arg.name));
            let sums = arg.access.is_scratch() || added_to || Some(len(arg)) < largest;
            assert!(!sums || arg.elem != Elem::real, "{} `{}`", kernel.name, arg.name);
        }
    }
}

/// Activations take half the memory, and the model's matrices half as much again.
#[test]
fn activations_take_half_the_memory() {
    let memory = |precision| {
        let trained = Trained::new(&Device::Cpu, precision);
        cloze::exec::Plan::new(
            &trained.training.program,
            cloze::exec::plan::MemoryLimits { binding: u64::MAX, alignment: 256, memory: None, arena: false },
        )
        .unwrap()
        .memory()
    };
    let (full, half) = (memory(Precision::F32), memory(Precision::F16));
    let share = half.activations as f64 / full.activations as f64;
    assert!((0.5..0.6).contains(&share), "{share} of the activations");
    assert!(half.parameters > full.parameters && half.parameters <= full.parameters * 3 / 2 + 4096);
    assert!((half.gradients as f64 / full.gradients as f64 - 1.0).abs() < 0.1);
}

fn l2(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}
