//! What the backward pass computes again has the bits it had before, and takes less memory the more of it there is.

use crate::adapter::gpus;
use cloze::config::{Activation, ModelConfig, NormPlacement, Recipe, Recompute};
use cloze::data::{Batch, MaskedSequence};
use cloze::exec::plan::{Limits, Plan};
use cloze::exec::{Device, Executor};
use cloze::kernels::step::StepState;
use cloze::model::{Kind, OptimizerConfig, Shape, Training};

pub const SHAPE: Shape = Shape { batch: 2, sequence: 24, masked: 8 };

/// Small models with dropout everywhere: norms before and after, plain and gated.
pub fn models() -> Vec<ModelConfig> {
    let mut models = Vec::new();
    for (recipe, norm) in [(Recipe::Modern, NormPlacement::Pre), (Recipe::Bert, NormPlacement::Post)] {
        for activation in [Activation::Gelu, Activation::GatedGelu] {
            let model = ModelConfig::new(recipe, 70, 3, 32, 2).unwrap();
            models.push(ModelConfig { norm, activation, dropout: 0.1, attention_dropout: 0.2, ..model });
        }
    }
    models
}

pub fn training(model: &ModelConfig, shape: Shape, recompute: Recompute) -> Training {
    Training::new(model, shape, shape, OptimizerConfig::default(), recompute, u64::MAX).unwrap()
}

pub fn batch(number: u32) -> Batch {
    let sequence = |row: u32| {
        let ids = (0..24).map(|i| 5 + (i * 7 + row * 11 + number * 13) % 60).collect();
        let picks: Vec<u32> = (0..4).map(|i| 5 * i + row).collect();
        let labels = picks.iter().map(|pick| (pick * 3 + number) % 70).collect();
        MaskedSequence::new(ids, picks, labels)
    };
    Batch::new(&[sequence(0), sequence(1)], 4)
}

/// Losses of three steps of two microbatches, then every parameter and gradient, as bits.
fn train(device: &Device, model: &ModelConfig, recompute: Recompute) -> Vec<Vec<u32>> {
    let training = training(model, SHAPE, recompute);
    let executor: &mut dyn Executor = &mut *training.start(device, model).unwrap();
    training.parameters.initialize(executor, 1);
    let mut bits = Vec::new();
    for step in 0..3 {
        training.step(executor, &[batch(2 * step), batch(2 * step + 1)], 1e-2, 1, 2 * u64::from(step)).unwrap();
        bits.push(executor.read(training.metrics).unwrap());
    }
    // An update uses the gradients up; these are of a microbatch after it.
    let step = StepState { learning_rate: 0.0, loss_weight: 0.1, seed_low: 1, seed_high: 0, microbatch: 6 };
    training.inputs.write(executor, &batch(9), step);
    executor.run(training.accumulate).unwrap();
    for kind in [Kind::Value, Kind::Gradient] {
        let values = training.parameters.read(executor, kind).unwrap();
        bits.extend(values.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()));
    }
    bits
}

fn check_on(device: &Device) {
    for model in models() {
        let kept = train(device, &model, Recompute::None);
        for &recompute in &Recompute::ALL[1..] {
            let same = train(device, &model, recompute) == kept;
            assert!(same, "{recompute:?} differs with {:?}, {:?}", model.norm, model.activation);
        }
    }
}

#[test]
fn the_cpu_gets_the_same_bits() {
    check_on(&Device::Cpu);
}

#[test]
fn gpus_get_the_same_bits() {
    for gpu in gpus("recompute") {
        check_on(&Device::Gpu(Box::new(gpu.clone())));
    }
}

#[test]
fn activations_shrink() {
    let shape = Shape { batch: 8, sequence: 64, masked: 64 };
    for model in
        models().into_iter().map(|model| ModelConfig { layers: 6, hidden_size: 64, intermediate_size: 256, ..model })
    {
        let activations = |recompute| {
            let limits = Limits { binding: u64::MAX, alignment: 256, memory: None };
            Plan::new(&training(&model, shape, recompute).program, limits).unwrap().memory().activations as f64
        };
        let taken = Recompute::ALL.map(activations);
        assert!(taken.is_sorted_by(|more, less| *less < 0.85 * more), "{taken:?}");
    }
}

#[test]
// Slots are not divided, so what is small may lie in what was made for the logits.
fn a_plan_is_near_what_lives_at_once() {
    let model = ModelConfig {
        layers: 12,
        hidden_size: 768,
        heads: 12,
        intermediate_size: 3072,
        vocab_size: 30522,
        ..models()[2].clone()
    };
    let shape = Shape { batch: 4, sequence: 512, masked: 4 * 77 };
    for recompute in Recompute::ALL {
        let program = training(&model, shape, recompute).program;
        let (memory, least) = (Plan::unchecked(&program).memory(), Plan::least(&program) as f64);
        let taken = memory.activations as f64;
        println!("{recompute:?}: {taken} bytes for {least}");
        assert!(taken < 1.1 * least, "{recompute:?}: {taken} bytes for {least}");
    }
}
