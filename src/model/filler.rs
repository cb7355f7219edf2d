//! Guesses for masked tokens.

use super::inference::Inference;
use super::inputs::Shape;
use crate::Result;
use crate::config::ModelConfig;
use crate::data::{Batch, MaskedSequence};
use crate::device::Device;
use crate::exec::Executor;
use crate::kernels::step::StepState;
use bytemuck::Zeroable;

/// A token and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    pub token: u32,
    pub score: f32,
}

/// A model on a device, ready to guess. Texts of like length use the same program.
pub struct Filler<'a> {
    config: &'a ModelConfig,
    device: &'a Device,
    /// Of every parameter, in the order of the architecture.
    values: &'a [Vec<f32>],
    ready: Option<(Shape, Inference, Box<dyn Executor>)>,
}

impl<'a> Filler<'a> {
    /// `values` has those of every parameter, in the order that `architecture::declare` gives for the config.
    pub fn new(config: &'a ModelConfig, device: &'a Device, values: &'a [Vec<f32>]) -> Self {
        Filler { config, device, values, ready: None }
    }

    /// The `k` likeliest tokens, best first, for each of the positions `masked` of a text. `pad` fills the text up to the
    /// program's length.
    ///
    /// # Errors
    /// The device fails, or is too small.
    pub fn guess(&mut self, ids: &[u32], masked: &[u32], pad: u32, k: usize) -> Result<Vec<Vec<Guess>>> {
        let sequence = ids.len().next_multiple_of(32).min(self.config.max_positions).max(ids.len());
        let shape = Shape { batch: 1, sequence, masked: masked.len().next_power_of_two() };
        self.get_ready(shape)?;
        let Some((_, prediction, executor)) = &mut self.ready else { unreachable!("made ready above") };
        prediction.inputs.write(&mut **executor, &batch(ids, masked, pad, shape), StepState::zeroed())?;
        executor.run(prediction.phase)?;
        let logits = prediction.read(&mut **executor)?;
        Ok(logits.chunks(self.config.vocab_size).take(masked.len()).map(|row| best(row, k)).collect())
    }

    fn get_ready(&mut self, shape: Shape) -> Result<()> {
        if self.ready.as_ref().is_none_or(|(ready, _, _)| *ready != shape) {
            let prediction = Inference::prediction(self.config, shape, self.device.binding())?;
            let executor = prediction.start(self.device, self.config, self.values)?;
            self.ready = Some((shape, prediction, executor));
        }
        Ok(())
    }
}

fn batch(ids: &[u32], masked: &[u32], pad: u32, shape: Shape) -> Batch {
    let labels = masked.iter().map(|&position| ids[position as usize]).collect();
    let mut text = MaskedSequence::new(ids.to_vec(), masked.to_vec(), labels);
    text.sequence.pad(pad, shape.sequence);
    Batch::new(&[text], shape.masked)
}

/// The k largest of a row's softmax.
fn best(logits: &[f32], k: usize) -> Vec<Guess> {
    let most = logits.iter().fold(f32::MIN, |most, &logit| most.max(logit));
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]);
    let k = k.min(order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k, by_logit);
        order.truncate(k);
    }
    order.sort_by(by_logit);
    let score = |token: u32| (f64::from(logits[token as usize] - most).exp() / sum) as f32;
    order.into_iter().map(|token| Guess { token, score: score(token) }).collect()
}
