//! Trains a small model on one sentence, given as token ids, until it guesses the hidden one.
//!
//! ```text
//! cargo run --release --example masked_lm
//! ```

use cloze::data::{Batch, Example};
use cloze::device::Device;
use cloze::model::{Kind, ModelConfig, Recipe, Shape};
use cloze::optim::AdamW;
use cloze::tasks::{Filler, MaskedLm};
use cloze::train::{Training, TrainingOptions};

const PAD: u32 = 0;
const MASK: u32 = 4;

fn main() -> cloze::Result<()> {
    let config = ModelConfig::new(Recipe::Modern, 1000, 2, 128, 2)?; // vocabulary, layers, width, heads
    let sentence = [2, 317, MASK, 846, 3];
    let (hidden, answer) = (2, 59);
    let batch = Batch::for_training(&[Example::new(sentence.to_vec(), vec![hidden], vec![answer])], 1);

    let device = Device::Cpu;
    let shape = Shape { batch: 1, sequence: sentence.len(), selected: 1 };
    let options = TrainingOptions::new(shape, device.binding());
    let training = Training::new(&MaskedLm::new(&config), &AdamW::default(), options)?;
    let mut executor = training.start(&device, &config)?;
    training.parameters.initialize(&mut *executor, 1);

    for step in 0.. {
        training.step(&mut *executor, std::slice::from_ref(&batch), 1e-3, 1, step)?;
        let measured = training.measured(&mut *executor)?;
        println!("step {:>2}  loss {:.4}", step + 1, measured.loss());
        if measured.accuracy() == 1.0 {
            break;
        }
    }

    let values = training.parameters.read(&mut *executor, Kind::Value)?;
    let guesses = Filler::new(&config, &device, &values).guess(&sentence, &[hidden], PAD, 5)?;
    for guess in &guesses[0] {
        println!("token {:>3}  {:5.2} %", guess.token, 100.0 * guess.score);
    }
    Ok(())
}
