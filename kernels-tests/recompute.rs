//! What the backward pass computes again has the same bits as before. The more is computed again, the less memory it takes.

use crate::adapter::gpus;
use cloze::data::{Batch, Example};
use cloze::device::Device;
use cloze::exec::Executor;
use cloze::exec::plan::{MemoryLimits, Plan};
use cloze::kernels::step::StepState;
use cloze::model::{Activation, Kind, Microbatch, ModelConfig, NormPlacement, Recipe, Recompute, Shape};
use cloze::optim::AdamW;
use cloze::tasks::MaskedLm;
use cloze::train::{Training, TrainingOptions};

pub const SHAPE: Shape = Shape { batch: 2, sequence: 24, selected: 8 };

/// Small models with dropout everywhere: with norms before and after blocks, plain and gated.
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
    train_with(model, TrainingOptions { recompute, ..TrainingOptions::new(shape, u64::MAX) })
}

/// Like `training`, for steps of one microbatch.
fn training_of_one(model: &ModelConfig, shape: Shape, recompute: Recompute) -> Training {
    train_with(model, TrainingOptions { recompute, accumulates: false, ..TrainingOptions::new(shape, u64::MAX) })
}

fn train_with(model: &ModelConfig, options: TrainingOptions) -> Training {
    Training::new(&MaskedLm::new(model), &AdamW::default(), options).unwrap()
}

pub fn batch(number: u32) -> Batch {
    let selected = |row| (0..4).map(|i| 5 * i + row).collect();
    Batch::for_training(&[0, 1].map(|row| sequence(number, row, selected(row))), 4)
}

/// Six sequences with every other token masked.
fn crowd(number: u32) -> Batch {
    Batch::for_training(&[0, 1, 2, 3, 4, 5].map(|row| sequence(number, row, (0..24).step_by(2).collect())), 12)
}

fn sequence(number: u32, row: u32, selected: Vec<u32>) -> Example {
    let ids = (0..24).map(|i| 5 + (i * 7 + row * 11 + number * 13) % 60).collect();
    let labels = selected.iter().map(|position| (position * 3 + number) % 70).collect();
    Example::new(ids, selected, labels)
}

/// Losses of three steps, then every parameter and gradient, as bits. A step has two microbatches, or one.
fn train(
    device: &Device,
    model: &ModelConfig,
    training: Training,
    batch: fn(u32) -> Batch,
    microbatches: u32,
) -> Vec<Vec<u32>> {
    let executor: &mut dyn Executor = &mut *training.start(device, model).unwrap();
    training.parameters.initialize(executor, 1);
    let mut bits = Vec::new();
    for number in 0..3 {
        let batches: Vec<Batch> = (number * microbatches..(number + 1) * microbatches).map(batch).collect();
        training.step(executor, &batches, 1e-2, 1, number.into()).unwrap();
        bits.push(executor.read(training.metrics).unwrap());
        training.validation_inputs.write(executor, &batch(20), Microbatch::default()).unwrap();
        executor.run(training.validate).unwrap();
        bits.push(executor.read(training.validation_metrics).unwrap());
    }
    // An update consumes the gradients; these are from a microbatch after it.
    let step = StepState { loss_weight: 0.1, seed_low: 1, seed_high: 0, number: 6, first_row: 0 };
    training.inputs.write(executor, &batch(9), Microbatch { step, ..Default::default() }).unwrap();
    executor.run(training.accumulate).unwrap();
    for kind in [Kind::Value, Kind::Gradient] {
        let values = training.parameters.read(executor, kind).unwrap();
        bits.extend(values.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()));
    }
    bits
}

fn check_on(device: &Device) {
    for model in models() {
        // Each shape keeps one variant: if another were measured to be faster midway, it might add up in another order.
        device.go_on_with(&device.variants_of(&training(&model, SHAPE, Recompute::None).program));
        let train = |recompute| train(device, &model, training(&model, SHAPE, recompute), batch, 2);
        let kept = train(Recompute::None);
        for &recompute in &Recompute::ALL[1..] {
            assert!(train(recompute) == kept, "{recompute:?} differs with {:?}, {:?}", model.norm, model.activation);
        }
    }
}

#[test]
fn the_cpu_gets_the_same_bits() {
    check_on(&Device::Cpu);
}

/// Where gradients share memory with activations: see `exec::plan`.
#[test]
fn the_cpu_gets_the_same_bits_from_steps_of_one_microbatch() {
    for model in models() {
        for recompute in Recompute::ALL {
            let [apart, shared] = [training, training_of_one]
                .map(|training| train(&Device::Cpu, &model, training(&model, SHAPE, recompute), batch, 1));
            assert!(apart == shared, "{recompute:?} differs with {:?}, {:?}", model.norm, model.activation);
        }
    }
}

/// The head has two chunks, of which the second adds to the first one's gradient, and only the embedding's gradient goes to one
/// of the tables.
#[test]
fn the_cpu_gets_the_same_bits_where_gradients_are_added_to() {
    let shape = Shape { batch: 6, sequence: 24, selected: 72 };
    for tied_decoder in [true, false] {
        let model = ModelConfig { tied_decoder, max_positions: 32, ..models()[2].clone() };
        let [apart, shared] = [true, false].map(|accumulates| {
            let training = train_with(&model, TrainingOptions { accumulates, ..TrainingOptions::new(shape, 24 << 10) });
            assert!(training.largest_bytes < 4 * 80 * 72, "the head has more than one chunk");
            train(&Device::Cpu, &model, training, crowd, 1)
        });
        assert!(apart == shared, "they differ with tied_decoder {tied_decoder}");
    }
}

#[test]
#[should_panic(expected = "one microbatch a step")]
fn a_program_for_one_microbatch_takes_no_two() {
    let (model, device) = (&models()[0], Device::Cpu);
    let training = training_of_one(model, SHAPE, Recompute::None);
    let mut executor = training.start(&device, model).unwrap();
    let _ = training.step(&mut *executor, &[batch(0), batch(1)], 1e-3, 1, 0);
}

#[test]
fn gpus_get_the_same_bits() {
    for gpu in gpus("recompute") {
        check_on(&Device::Gpu(Box::new(gpu.clone())));
    }
}

/// Launches that are cut into parts compute the same. Here every launch with two or more workgroups is cut.
#[test]
fn launches_cut_into_parts_give_the_same_bits() {
    let model = &models()[3];
    for gpu in gpus("cut launches") {
        let whole = Device::Gpu(Box::new(gpu.clone()));
        let variants = whole.variants_of(&training(model, SHAPE, Recompute::None).program);
        let mut cut = gpu.reopen().unwrap();
        cut.cut_above(60_000);
        let bits = [whole, Device::Gpu(Box::new(cut))].map(|device| {
            device.go_on_with(&variants);
            train(&device, model, training(model, SHAPE, Recompute::None), batch, 2)
        });
        assert!(bits[0] == bits[1], "{}", gpu.describe());
    }
}

#[test]
fn activations_shrink() {
    let shape = Shape { batch: 8, sequence: 64, selected: 64 };
    for model in
        models().into_iter().map(|model| ModelConfig { layers: 6, hidden_size: 64, intermediate_size: 256, ..model })
    {
        let activations = |recompute| {
            let limits = MemoryLimits { binding: u64::MAX, alignment: 256, memory: None, arena: false };
            Plan::new(&training(&model, shape, recompute).program, limits).unwrap().memory().activations as f64
        };
        let taken = Recompute::ALL.map(activations);
        assert!(taken.is_sorted_by(|more, less| *less < 0.85 * more), "{taken:?}");
    }
}

#[test]
fn a_plan_is_near_what_lives_at_once() {
    let base = ModelConfig { layers: 12, hidden_size: 768, heads: 12, intermediate_size: 3072, ..models()[2].clone() };
    let model = ModelConfig { vocab_size: 30522, ..base };
    for (batch, sequence) in [(4, 512), (8, 128)] {
        let shape = Shape { batch, sequence, selected: batch * sequence * 3 / 20 };
        for recompute in Recompute::ALL {
            let taken = |program, arena| {
                let memory = Plan::unchecked(program, arena).memory();
                println!(
                    "{batch} x {sequence}, {recompute:?}, arena {arena}: {memory}; least {}",
                    Plan::least(program, arena)
                );
                memory
            };
            let slots = training(&model, shape, recompute).program;
            let (memory, least) = (taken(&slots, false), Plan::least(&slots, false) as f64);
            assert!((memory.activations as f64) < 1.01 * least, "{recompute:?}: {memory} for {least}");
            let (memory, least) = (taken(&slots, true), Plan::least(&slots, true) as f64);
            assert!((memory.activations as f64) < 1.05 * least, "{recompute:?}: {memory} for {least}");
            let shared = training_of_one(&model, shape, recompute).program;
            let (memory, least) = (taken(&shared, true), Plan::least(&shared, true) as f64);
            let together = (memory.gradients + memory.activations) as f64;
            assert!(together < 1.05 * least, "{recompute:?}: {memory} for {least}");
        }
    }
}

/// The gradients of the last layers and of the tables exist before any activation is freed.
#[test]
fn gradients_of_one_microbatch_share_their_memory() {
    let model = ModelConfig { layers: 12, hidden_size: 64, intermediate_size: 256, ..models()[2].clone() };
    let shape = Shape { batch: 2, sequence: 64, selected: 16 };
    let bytes = |training: Training, arena| Plan::unchecked(&training.program, arena).memory();
    let apart = bytes(training(&model, shape, Recompute::None), true);
    let shared = bytes(training_of_one(&model, shape, Recompute::None), true);
    assert_eq!(apart.gradients, shared.gradients);
    assert!(shared.total() < apart.total() - apart.gradients * 8 / 10, "{shared}, and {apart} apart");
}
