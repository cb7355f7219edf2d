//! The gradient of whole models with dropout against how their loss changes along it, parameter by parameter. PyTorch draws
//! other masks, so that the golden models have none.

use crate::recompute::{SHAPE, batch, models, training};
use cloze::device::Device;
use cloze::exec::Executor;
use cloze::kernels::step::StepState;
use cloze::model::{Kind, ModelConfig, Recompute};
use cloze::train::Training;

/// How far values move to each side; less where the loss is steep, so that it changes by no more.
const STEP: f64 = 0.1;
/// Error of a slope. Some 0.4 % were measured, of what rounding leaves of the difference of two losses.
const TOLERANCE: f64 = 0.015;

#[test]
fn gradients_are_slopes_of_the_loss() {
    for model in models() {
        // Larger weights than a training begins with, so that every part counts.
        let model = ModelConfig { dropout: 0.3, initializer_range: 0.3, ..model };
        let training = training(&model, SHAPE, Recompute::None);
        let executor = &mut *training.start(&Device::Cpu, &model).unwrap();
        training.parameters.initialize(executor, 1);
        loss(&training, executor);
        let gradients = training.parameters.read(executor, Kind::Gradient).unwrap();
        let values = training.parameters.read(executor, Kind::Value).unwrap();
        for (number, gradient) in gradients.iter().enumerate() {
            let length = gradient.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let mut at = |distance: f64| {
                let mut moved = values.clone();
                for (value, gradient) in moved[number].iter_mut().zip(gradient) {
                    *value += (distance / length * f64::from(*gradient)) as f32;
                }
                training.parameters.write(executor, Kind::Value, &moved);
                loss(&training, executor)
            };
            let step = STEP / length.max(1.0);
            let slope = (at(step) - at(-step)) / (2.0 * step);
            let name = &training.parameters.list[number].name;
            println!("{name}: {slope:.4}, by its gradient {length:.4}");
            let close = (slope - length).abs() < TOLERANCE * length;
            assert!(close, "{name}: {slope}, by its gradient {length}; {:?}, {:?}", model.norm, model.activation);
        }
    }
}

/// The sum over the rows of a batch; gradients are added to.
fn loss(training: &Training, executor: &mut dyn Executor) -> f64 {
    let sum = |executor: &mut dyn Executor| f64::from(f32::from_bits(executor.read(training.metrics).unwrap()[0]));
    let step = StepState { loss_weight: 1.0, seed_low: 1, seed_high: 0, number: 6, first_row: 0 };
    training.inputs.write(executor, &batch(9), step).unwrap();
    let before = sum(executor);
    executor.run(training.accumulate).unwrap();
    sum(executor) - before
}
