//! Predictions for masked tokens.

use super::{MaskedLm, MlmHead};
use crate::Result;
use crate::data::{Batch, Example};
use crate::device::Device;
use crate::exec::{Executor, Phase, Program, Role, Tensor};
use crate::kernels::Precision;
use crate::model::architecture::vocabulary_rows;
use crate::model::embedder::lengths;
use crate::model::encoder::Encoder;
use crate::model::recorder::Recorder;
use crate::model::{Contents, Inputs, Kind, Microbatch, ModelConfig, Parameters, RowSet, Shape};
use crate::tasks;

/// Most shapes that one program has phases for. Texts of one kind have fewer.
const SHAPES: usize = 16;

/// A token and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    pub token: u32,
    pub score: f32,
}

/// A model on a device, ready to predict masked tokens in texts of the shapes that were used last.
pub struct Filler<'a> {
    config: &'a ModelConfig,
    device: &'a Device,
    /// The values of every parameter, in the order of `tasks::parameters`.
    values: &'a [Vec<f32>],
    ready: Option<Ready>,
}

/// A program with one phase for each of several shapes. The phases share parameters and memory.
struct Ready {
    /// The one that was used last is at the end.
    shapes: Vec<Prediction>,
    executor: Box<dyn Executor>,
}

/// The phase for a shape.
#[derive(Clone, Copy)]
struct Prediction {
    inputs: Inputs,
    /// [K, vocabulary, padded].
    logits: Tensor,
    phase: Phase,
}

impl<'a> Filler<'a> {
    /// `values` holds the values of every parameter, in the order of `tasks::parameters`; more may follow.
    pub fn new(config: &'a ModelConfig, device: &'a Device, values: &'a [Vec<f32>]) -> Self {
        Filler { config, device, values, ready: None }
    }

    /// The `k` likeliest tokens, best first, for each of the positions `masked` of a text. `pad` fills the text up to the
    /// program's length.
    ///
    /// # Errors
    /// The device fails, or is too small.
    pub fn guess(&mut self, ids: &[u32], masked: &[u32], pad: u32, k: usize) -> Result<Vec<Vec<Guess>>> {
        let sequence = lengths(ids.len(), self.config.max_positions).last().unwrap_or(0).max(ids.len());
        let shape = Shape { batch: 1, sequence, selected: masked.len().next_power_of_two() };
        let vocabulary = self.config.vocab_size;
        let (prediction, executor) = self.get_ready(shape)?;
        prediction.inputs.write(executor, &batch(ids, masked, pad, shape), Microbatch::default())?;
        executor.run(prediction.phase)?;
        let words = executor.read(prediction.logits)?;
        let rows = bytemuck::cast_slice::<u32, f32>(&words).chunks(words.len() / shape.selected);
        Ok(rows.take(masked.len()).map(|row| best(&row[..vocabulary], k)).collect())
    }

    /// The phase for a shape. A new shape gets a new program, which also keeps the shapes that were used last.
    fn get_ready(&mut self, shape: Shape) -> Result<(Prediction, &mut dyn Executor)> {
        let before: Vec<Shape> = self.ready.iter().flat_map(Ready::shapes).collect();
        if !before.contains(&shape) {
            // Frees the memory of the previous program.
            self.ready = None;
            self.ready = Some(Ready::new(self.config, self.device, self.values, &with(before, shape))?);
        }
        let ready = self.ready.as_mut().expect("made ready above");
        let at = ready.shapes.iter().position(|prediction| prediction.inputs.shape == shape).expect("made ready above");
        let prediction = ready.shapes.remove(at);
        ready.shapes.push(prediction);
        Ok((prediction, &mut *ready.executor))
    }
}

impl Ready {
    fn new(config: &ModelConfig, device: &Device, values: &[Vec<f32>], shapes: &[Shape]) -> Result<Ready> {
        let mut program = Program::new();
        let binding = device.binding();
        let parameters = Parameters::new(&mut program, tasks::parameters(&MaskedLm::new(config)), None, binding);
        let columns = vocabulary_rows(config);
        let rows = shapes.iter().map(|shape| shape.selected).max().unwrap_or(0);
        let whole = program.tensor(Role::Output, "logits", &[rows, columns]);
        let mut predictions = Vec::with_capacity(shapes.len());
        for &shape in shapes {
            let name = format!("batch of {} with {} masks", shape.sequence, shape.selected);
            let inputs = Inputs::new(&mut program, config, shape, Contents::default(), &name);
            let logits = program.part(whole, 0, shape.selected * columns, "logits");
            let phase = program.phase("forward");
            let mut r = Recorder::new(program, &inputs);
            let (x, _) = Encoder::new(config, &parameters, shape, RowSet::Selected).forward(&mut r, &inputs);
            MlmHead::new(config, &parameters, binding, Precision::F32).predict(&mut r, &inputs, x, logits);
            program = r.program;
            predictions.push(Prediction { inputs, logits, phase });
        }
        let program = program.finish()?;
        let mut executor = device.executor(&program)?;
        predictions.iter().for_each(|prediction| prediction.inputs.prepare(&mut *executor, config));
        parameters.write(&mut *executor, Kind::Value, &values[..parameters.list.len()]);
        Ok(Ready { shapes: predictions, executor })
    }

    fn shapes(&self) -> impl Iterator<Item = Shape> {
        self.shapes.iter().map(|prediction| prediction.inputs.shape)
    }
}

/// The shapes of the next program: the most recent shapes of the previous one, in order of use, then the new one.
fn with(mut before: Vec<Shape>, shape: Shape) -> Vec<Shape> {
    before.drain(..before.len().saturating_sub(SHAPES - 1));
    before.push(shape);
    before
}

fn batch(ids: &[u32], masked: &[u32], pad: u32, shape: Shape) -> Batch {
    let labels = masked.iter().map(|&position| ids[position as usize]).collect();
    let mut text = Example::new(ids.to_vec(), masked.to_vec(), labels);
    text.sequence.pad(pad, shape.sequence);
    Batch::new(&[text], shape.selected)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_the_program_before_are_kept_up_to_a_number() {
        let shape = |sequence| Shape { batch: 1, sequence, selected: 1 };
        assert_eq!(with(vec![shape(16), shape(32)], shape(24)), [shape(16), shape(32), shape(24)]);
        let all: Vec<Shape> = (1..=SHAPES).map(shape).collect();
        let next = with(all.clone(), shape(100));
        assert_eq!((next.len(), &next[..SHAPES - 1], next[SHAPES - 1]), (SHAPES, &all[1..], shape(100)));
    }
}
