//! A step is the same whichever microbatches its batch is cut into, since dropout depends on the place in the whole batch.
//! Gradients are added in another order, so losses differ by rounding.

use crate::adapter::gpus;
use crate::recompute::models;
use crate::twin::{call, numbers};
use cloze::data::{Batch, Example};
use cloze::device::Device;
use cloze::kernels::Params;
use cloze::kernels::attention::{ATTENTION, Attention};
use cloze::kernels::step::StepState;
use cloze::model::{ModelConfig, Recipe, Shape};
use cloze::optim::AdamW;
use cloze::tasks::MaskedLm;
use cloze::train::{Training, TrainingOptions};

pub const SEQUENCES: usize = 4;
pub const LENGTH: usize = 23;
/// The most masked positions per sequence; sequences have different numbers of them.
pub const SELECTED: usize = 7;
const STEPS: u64 = 6;

/// The allowed relative difference of two losses. About 7e-7 was measured; with other masks it is 1e-3 or more.
const TOLERANCE: f64 = 1e-5;

pub fn sequence(number: usize) -> Example {
    let ids = (0..LENGTH).map(|i| (5 + (i * 7 + number * 11) % 60) as u32).collect();
    let selected: Vec<u32> = (0..SELECTED - number % 4).map(|i| (3 * i + number % 3) as u32).collect();
    let labels = selected.iter().map(|position| (position * 3 + number as u32) % 70).collect();
    Example::new(ids, selected, labels)
}

/// The losses of some steps, each cut into this many microbatches.
fn losses(device: &Device, model: &ModelConfig, microbatches: usize) -> Vec<f64> {
    let batch = SEQUENCES / microbatches;
    let shape = Shape { batch, sequence: LENGTH, selected: batch * SELECTED };
    let options = TrainingOptions { accumulates: microbatches > 1, ..TrainingOptions::new(shape, device.binding()) };
    let training = Training::new(&MaskedLm::new(model), &AdamW::default(), options).unwrap();
    let executor = &mut *training.start(device, model).unwrap();
    training.parameters.initialize(executor, 1);
    let step = |number: u64| {
        let first = number as usize * SEQUENCES;
        let sequences: Vec<Example> = (first..first + SEQUENCES).map(sequence).collect();
        let batches: Vec<Batch> =
            sequences.chunks(batch).map(|sequences| Batch::for_training(sequences, SELECTED)).collect();
        training.step(executor, &batches, 1e-3, 1, number).unwrap();
        training.measured(executor).unwrap().loss()
    };
    (0..STEPS).map(step).collect()
}

/// Also with rows of 27 elements, so that microbatches begin within an octet.
fn check_on(device: &Device) {
    let odd = ModelConfig::new(Recipe::Bert, 70, 2, 27, 3).unwrap();
    let odd = ModelConfig { dropout: 0.1, attention_dropout: 0.1, ..odd };
    for model in models().into_iter().chain([odd]) {
        // The weights are larger than at the start of training, so that every mask matters.
        let model = ModelConfig { initializer_range: 0.2, ..model };
        let whole = losses(device, &model, 1);
        for microbatches in [2, 4] {
            let parts = losses(device, &model, microbatches);
            let difference = whole.iter().zip(&parts).map(|(whole, part)| (part / whole - 1.0).abs());
            let difference = difference.fold(0.0, f64::max);
            let (norm, width) = (model.norm, model.hidden_size);
            println!("{norm:?}, rows of {width}, {microbatches} microbatches: {difference:.1e}");
            assert!(
                difference <= TOLERANCE,
                "{norm:?}, rows of {width}: {whole:?} in one, {parts:?} in {microbatches}"
            );
        }
    }
}

#[test]
fn losses_do_not_depend_on_microbatches_on_the_cpu() {
    check_on(&Device::Cpu);
}

#[test]
fn losses_do_not_depend_on_microbatches_on_gpus() {
    for gpu in gpus("microbatches") {
        check_on(&Device::Gpu(Box::new(gpu.clone())));
    }
}

/// The second and third of three sequences alone give the same bits.
#[test]
fn attention_drops_the_same_weights_of_a_part() {
    const T: u32 = 21;
    let p = Attention { batch: 3, heads: 2, sequence: T, head_dim: 4, reach: T, dropout: 0.3, site: (1 << 16) + 2 };
    let (sequence, head) = ((T * 8) as usize, (T * 4) as usize);
    let qkv = numbers(1, 3 * 3 * sequence, -1.5, 1.5);
    let y = |p: &Attention, qkv: &[f64], first_row| {
        let step = StepState { loss_weight: 0.0, seed_low: 1, seed_high: 0, number: 3, first_row };
        let spans = [0, T].repeat((p.batch * T) as usize);
        let twin = call(&ATTENTION, p).with("qkv", qkv).with_words("spans", spans);
        twin.with_words("step", step.words().to_vec()).run().numbers("y")
    };
    let whole = y(&p, &qkv, 0);
    let part: Vec<f64> = qkv.chunks(3 * 2 * head).flat_map(|qkv| qkv[2 * head..].to_vec()).collect();
    let p = Attention { batch: 2, ..p };
    assert_eq!(y(&p, &part, T), whole[sequence..]);
    assert_ne!(y(&p, &part, 0), whole[sequence..]);
}
