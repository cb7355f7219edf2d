//! Compares the gradient of whole models with dropout with how their loss changes, parameter by parameter: along the gradient,
//! and along random directions, which show what is missing in a gradient or at right angles to it. PyTorch draws other masks,
//! so the golden models have no dropout.

use crate::recompute::{SHAPE, batch, models, training};
use cloze::device::Device;
use cloze::exec::Executor;
use cloze::kernels::cross_entropy::METRICS;
use cloze::kernels::step::StepState;
use cloze::model::{Kind, Microbatch, ModelConfig, Recompute};
use cloze::random::{Site, Stream};
use cloze::train::Training;

/// How far values move to each side along the gradient. They move less if the loss is steep, so that it changes by no more.
const STEP: f64 = 0.03;
/// Allowed error of the slope along a gradient, relative to its length. About 0.07 % was measured.
const ALONG: f64 = 0.002;
/// Random directions for each parameter.
const DIRECTIONS: usize = 4;
/// Allowed error of the slope along a random direction, relative to the average of such slopes. About 0.4 % was measured.
const RANDOM: f64 = 0.01;

#[test]
fn gradients_are_slopes_of_the_loss() {
    for model in models() {
        let mut slopes = Slopes::new(&model);
        for (number, gradient) in slopes.gradients().iter().enumerate() {
            let name = &slopes.training.parameters.list[number].name;
            let what = format!("{name}, {:?}, {:?}", model.norm, model.activation);
            let [along, random] = slopes.errors(number, gradient);
            println!("{what}: {along:.5} along the gradient, {random:.5} along a random direction");
            assert!(along < ALONG, "{what}: {along} along the gradient");
            assert!(random < RANDOM, "{what}: {random} along a random direction");
        }
    }
}

/// Along itself, half a gradient is as long as it should be.
#[test]
fn a_random_direction_sees_what_is_missing() {
    let mut slopes = Slopes::new(&models()[0]);
    let mut gradient = slopes.gradients().swap_remove(2);
    let half = gradient.len() / 2;
    gradient[half..].fill(0.0);
    let [along, random] = slopes.errors(2, &gradient);
    assert!(along < ALONG && random > 10.0 * RANDOM, "{along} along the gradient, {random} along a random direction");
}

/// A model whose parameters are moved.
struct Slopes {
    training: Training,
    executor: Box<dyn Executor>,
    values: Vec<Vec<f32>>,
}

impl Slopes {
    fn new(model: &ModelConfig) -> Self {
        // The weights are larger than at the start of training, so that every part matters.
        let model = ModelConfig { dropout: 0.3, initializer_range: 0.3, ..model.clone() };
        let training = training(&model, SHAPE, Recompute::None);
        let mut executor = training.start(&Device::Cpu, &model).unwrap();
        training.parameters.initialize(&mut *executor, 1);
        let values = training.parameters.read(&mut *executor, Kind::Value).unwrap();
        Slopes { training, executor, values }
    }

    /// The gradient of the loss. Ask for it before any other.
    fn gradients(&mut self) -> Vec<Vec<f64>> {
        self.loss();
        let gradients = self.training.parameters.read(&mut *self.executor, Kind::Gradient).unwrap();
        gradients.iter().map(|gradient| gradient.iter().map(|x| f64::from(*x)).collect()).collect()
    }

    /// How much measured slopes of the loss differ from those by the gradient of a parameter: along it, and the worst of some
    /// random directions.
    fn errors(&mut self, number: usize, gradient: &[f64]) -> [f64; 2] {
        let (length, root) = (dot(gradient, gradient).sqrt(), (gradient.len() as f64).sqrt());
        let step = STEP / length.max(1.0);
        let direction: Vec<f64> = gradient.iter().map(|x| x / length).collect();
        let along = (self.slope(number, &direction, step) - length).abs() / length;
        let mut stream = Stream::new(1, Site::Init, number as u64);
        let mut random = 0.0;
        for _ in 0..DIRECTIONS {
            let direction = (0..gradient.len()).map(|_| (f64::from(stream.below(2)) * 2.0 - 1.0) / root);
            let direction: Vec<f64> = direction.collect();
            // On average the loss changes by 1/√n of its change along the gradient, so values may move farther by √n.
            let slope = self.slope(number, &direction, step * root);
            random = f64::max(random, (slope - dot(gradient, &direction)).abs() / (length / root));
        }
        [along, random]
    }

    /// How the loss changes if a parameter moves by `step` along a unit vector, to either side.
    fn slope(&mut self, number: usize, direction: &[f64], step: f64) -> f64 {
        let [above, below] = [step, -step].map(|distance| {
            let mut values = self.values.clone();
            for (value, u) in values[number].iter_mut().zip(direction) {
                *value += (distance * u) as f32;
            }
            self.training.parameters.write(&mut *self.executor, Kind::Value, &values);
            self.loss()
        });
        (above - below) / (2.0 * step)
    }

    /// The summed loss over the rows of a batch; gradients are accumulated.
    fn loss(&mut self) -> f64 {
        let executor = &mut *self.executor;
        let step = StepState { loss_weight: 1.0, seed_low: 1, seed_high: 0, number: 6, first_row: 0 };
        self.training.inputs.write(executor, &batch(9), Microbatch { step, ..Default::default() }).unwrap();
        // If it were added to what was there, the sum would lose digits.
        executor.write(self.training.metrics, &[0; METRICS]);
        executor.run(self.training.accumulate).unwrap();
        f64::from(f32::from_bits(executor.read(self.training.metrics).unwrap()[0]))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
