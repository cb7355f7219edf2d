//! Text embeddings: the encoder's output, pooled.

use super::architecture::declare;
use super::config::ModelConfig;
use super::encoder::Encoder;
use super::inputs::{Contents, Inputs, Microbatch, Shape};
use super::parameters::{Kind, Parameters};
use super::recorder::Recorder;
use super::row_set::RowSet;
use crate::data::{Batch, Example, NONE};
use crate::device::Device;
use crate::exec::{Executor, Phase, Program, Role, Tensor};
use crate::kernels::rows::{GatherRowsArgs, Rows};
use crate::{Error, Result};
use std::cmp::Reverse;
use std::collections::VecDeque;

/// Batches queued on the device while the host pools the previous one.
const IN_FLIGHT: usize = 2;

/// How the vectors of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens of the text, its first and last special token included.
    Mean,
    /// The vector of the first token, `[CLS]`.
    Cls,
}

impl Pooling {
    /// The positions whose mean is the vector of a text of `length` tokens.
    fn selected(self, length: usize) -> std::ops::Range<u32> {
        match self {
            Pooling::Mean => 0..length as u32,
            Pooling::Cls => 0..1,
        }
    }

    /// The largest number of such positions in a sequence of `length`.
    fn most(self, length: usize) -> usize {
        self.selected(length).len()
    }
}

/// A model on a device, ready to turn texts into vectors.
pub struct Embedder<'a> {
    config: &'a ModelConfig,
    device: &'a Device,
    /// The values of every parameter, in the order of the architecture.
    values: &'a [Vec<f32>],
    /// The token that pads texts to a length of the program.
    pad: u32,
    pooling: Pooling,
    /// The largest number of texts in a batch.
    batch: usize,
    ready: Option<Ready>,
}

/// A program with one phase for each of several sequence lengths. The phases share parameters and memory.
struct Ready {
    batch: usize,
    /// In ascending order of length.
    lengths: Vec<Length>,
    executor: Box<dyn Executor>,
}

struct Length {
    inputs: Inputs,
    /// The selected rows, [K, H].
    hidden: Tensor,
    phase: Phase,
}

impl<'a> Embedder<'a> {
    /// `values` holds the values of every parameter, in the order of `architecture::declare` for the config; `batch` is the
    /// largest number of texts that go through the model at once.
    pub fn new(
        config: &'a ModelConfig,
        device: &'a Device,
        values: &'a [Vec<f32>],
        pad: u32,
        pooling: Pooling,
        batch: usize,
    ) -> Self {
        Embedder { config, device, values, pad, pooling, batch, ready: None }
    }

    /// The vectors of texts, [n, H], in their order. Each text is given as its token ids, special tokens included. Texts of
    /// similar length share a batch.
    ///
    /// # Errors
    /// A text has no token, or more than the model takes; the device fails, or is too small.
    pub fn embed(&mut self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let most = self.config.max_positions;
        if let Some(text) = texts.iter().find(|text| !(1..=most).contains(&text.len())) {
            let problem = format!("has {} tokens, and the model takes 1 to {most}", text.len());
            return Err(Error::config("a text", problem));
        }
        let Some(longest) = texts.iter().map(Vec::len).max() else { return Ok(Vec::new()) };
        let (width, pad, pooling) = (self.config.hidden_size, self.pad, self.pooling);
        let ready = self.get_ready(texts.len(), longest)?;
        // The longest come first, so that the last batch, which may not be full, has short texts.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| Reverse(texts[text].len()));
        let mut vectors = vec![0.0; texts.len() * width];
        let mut running = VecDeque::new();
        let mut finish = |group: &[usize], hidden: &[f32]| {
            let mut rows = hidden.chunks_exact(width);
            for &text in group {
                let vector = &mut vectors[text * width..][..width];
                mean(rows.by_ref().take(pooling.most(texts[text].len())), vector);
            }
        };
        for group in order.chunks(ready.batch) {
            ready.start(group.iter().map(|&text| &texts[text]), pad, pooling)?;
            running.push_back(group);
            if running.len() > IN_FLIGHT {
                finish(running.pop_front().expect("one was added"), &ready.finished()?);
            }
        }
        for group in running {
            finish(group, &ready.finished()?);
        }
        Ok(vectors)
    }

    /// A program for texts of up to `longest` tokens, in batches of `count` or, if that is too many, of the largest size
    /// allowed.
    fn get_ready(&mut self, count: usize, longest: usize) -> Result<&mut Ready> {
        let batch = self.batch.min(count);
        let fits = |ready: &Ready| ready.batch >= batch && ready.longest() >= longest;
        if !self.ready.as_ref().is_some_and(fits) {
            // Frees the memory of the previous program.
            self.ready = None;
            let ready = Ready::new(self.config, self.device, self.values, self.pooling, (batch, longest))?;
            self.ready = Some(ready);
        }
        Ok(self.ready.as_mut().expect("made ready above"))
    }
}

impl Ready {
    fn new(
        config: &ModelConfig,
        device: &Device,
        values: &[Vec<f32>],
        pooling: Pooling,
        (batch, longest): (usize, usize),
    ) -> Result<Ready> {
        let shapes: Vec<Shape> = lengths(longest, config.max_positions)
            .map(|sequence| Shape { batch, sequence, selected: batch * pooling.most(sequence) })
            .collect();
        let mut program = Program::new();
        let parameters = Parameters::new(&mut program, declare(config), None, device.binding());
        let width = config.hidden_size;
        let largest = shapes.iter().map(|shape| shape.selected * width).max().unwrap_or(0);
        let whole = program.tensor(Role::Output, "hidden", &[largest]);
        let mut lengths = Vec::with_capacity(shapes.len());
        for shape in shapes {
            let inputs =
                Inputs::new(&mut program, config, shape, Contents::default(), &format!("batch of {}", shape.sequence));
            let hidden = program.part(whole, 0, shape.selected * width, "hidden");
            let phase = program.phase("forward");
            let mut r = Recorder::new(program, &inputs);
            let (x, _) = Encoder::new(config, &parameters, shape, RowSet::All).forward(&mut r, &inputs);
            let rows = Rows { rows: shape.rows() as u32, selected: shape.selected as u32, width: width as u32 };
            r.program.launch(rows, GatherRowsArgs { x, selected: inputs.selected, y: hidden });
            program = r.program;
            lengths.push(Length { inputs, hidden, phase });
        }
        let program = program.finish()?;
        let mut executor = device.executor(&program)?;
        lengths.iter().for_each(|length| length.inputs.prepare(&mut *executor, config));
        // Further values belong to a head.
        parameters.write(&mut *executor, Kind::Value, &values[..parameters.list.len()]);
        Ok(Ready { batch, lengths, executor })
    }

    /// Queues a batch of at most `batch` texts; `finished` returns its result.
    fn start<'t>(&mut self, texts: impl Iterator<Item = &'t Vec<u32>>, pad: u32, pooling: Pooling) -> Result<()> {
        let texts: Vec<&Vec<u32>> = texts.collect();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let length = self.lengths.iter().find(|length| length.inputs.shape.sequence >= longest);
        let Length { inputs, hidden, phase } = length.expect("the longest text fits");
        let sequence = |text: &Vec<u32>| {
            let selected: Vec<u32> = pooling.selected(text.len()).collect();
            let labels = vec![NONE; selected.len()];
            let mut example = Example::new(text.clone(), selected, labels);
            example.sequence.pad(pad, inputs.shape.sequence);
            example
        };
        let mut sequences: Vec<Example> = texts.into_iter().map(sequence).collect();
        sequences.resize(self.batch, Example::padding(pad, inputs.shape.sequence));
        let batch = Batch::new(&sequences, pooling.most(inputs.shape.sequence));
        inputs.write(&mut *self.executor, &batch, Microbatch::default())?;
        self.executor.run(*phase)?;
        self.executor.request(&[*hidden])
    }

    /// The selected rows of the oldest queued batch, text by text.
    fn finished(&mut self) -> Result<Vec<f32>> {
        let tensors = self.executor.collect(true)?.unwrap_or_default();
        Ok(tensors.iter().flat_map(|words| bytemuck::cast_slice::<u32, f32>(words)).copied().collect())
    }

    fn longest(&self) -> usize {
        self.lengths.last().map_or(0, |length| length.inputs.shape.sequence)
    }
}

/// The lengths that texts of up to `longest` tokens are padded to: 16, 24, 32, 48, 64, 96, …, none above `most`.
pub fn lengths(longest: usize, most: usize) -> impl Iterator<Item = usize> {
    let mut found = false;
    (0..usize::BITS)
        .map(move |number| ((16 + 8 * (number as usize % 2)) << (number / 2)).min(most))
        .take_while(move |&length| !std::mem::replace(&mut found, length >= longest))
}

/// The mean of some rows, summed in f64.
fn mean<'r>(rows: impl Iterator<Item = &'r [f32]>, vector: &mut [f32]) {
    let (mut sums, mut count) = (vec![0.0; vector.len()], 0.0);
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        count += 1.0;
    }
    vector.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / count) as f32);
}

/// Scales a vector to length 1; one of zeros stays as it is.
pub fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_reach_the_longest_text_and_no_further() {
        let of = |longest, most| lengths(longest, most).collect::<Vec<_>>();
        assert_eq!(of(1, 512), [16]);
        assert_eq!(of(16, 512), [16]);
        assert_eq!(of(17, 512), [16, 24]);
        assert_eq!(of(100, 512), [16, 24, 32, 48, 64, 96, 128]);
        assert_eq!(of(100, 100), [16, 24, 32, 48, 64, 96, 100]);
        assert_eq!(of(10, 10), [10]);
    }
}
