//! The tensors that the host writes: a batch, and what changes from step to step.

use super::bounds::Bounds;
use super::config::{ModelConfig, Positions};
use crate::Result;
use crate::data::Batch;
use crate::exec::{Executor, Program, Role, Tensor};
use crate::kernels::Params;
use crate::kernels::step::{STEP_WORDS, StepState};

/// The sizes of a batch, fixed for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences, B.
    pub batch: usize,
    /// Tokens a sequence, T.
    pub sequence: usize,
    /// Masked rows in all, K.
    pub masked: usize,
}

impl Shape {
    /// B·T.
    pub fn rows(&self) -> usize {
        self.batch * self.sequence
    }
}

/// Words that each part of `whole` starts at a multiple of.
const ALIGNMENT: usize = Program::PART_ALIGNMENT / 4;

/// One batch on the device; see `Batch` for what each tensor holds.
#[derive(Clone, Copy)]
pub struct Inputs {
    pub shape: Shape,
    /// All that changes with a batch, one after another, so that it is uploaded at once.
    whole: Tensor,
    /// The words of its parts, in the order of `write`.
    lens: [usize; 12],
    pub ids: Tensor,            // [N]
    pub positions: Tensor,      // [N]
    pub types: Tensor,          // [N]
    pub spans: Tensor,          // [N, 2]
    pub id_order: Tensor,       // [N]
    pub position_order: Tensor, // [N]
    pub type_order: Tensor,     // [N]
    pub masked: Tensor,         // [K]
    pub labels: Tensor,         // [K]
    pub slots: Tensor,          // [N]
    /// The `step` input of kernels over all rows.
    pub step: Tensor,
    /// The same of kernels over the rows that are kept: see `kept.rs`.
    pub kept_step: Tensor,
    /// Cosines and sines, [T, head_dim/2, 2], of global layers; `None` without RoPE.
    rope: Option<Tensor>,
    /// The same of local layers; `None` also without a window.
    rope_local: Option<Tensor>,
    position_offset: u32,
    bounds: Bounds,
}

impl Inputs {
    pub fn new(program: &mut Program, config: &ModelConfig, shape: Shape, name: &str) -> Self {
        let (rows, masked) = (shape.rows(), shape.masked);
        let parts = [
            ("ids", rows),
            ("positions", rows),
            ("types", rows),
            ("spans", 2 * rows),
            ("id_order", rows),
            ("position_order", rows),
            ("type_order", rows),
            ("masked", masked),
            ("labels", masked),
            ("slots", rows),
            ("step", STEP_WORDS),
            ("kept_step", STEP_WORDS),
        ];
        let len = parts.iter().map(|(_, len)| len.next_multiple_of(ALIGNMENT)).sum();
        let whole = program.tensor(Role::Input, name, &[len]);
        let mut end = 0;
        let tensors = parts.map(|(what, len)| {
            let start = end;
            end += len.next_multiple_of(ALIGNMENT);
            program.part(whole, start, len, format!("{name}.{what}"))
        });
        let [ids, positions, types, spans, id_order, position_order, type_order, masked, labels, slots, ..] = tensors;
        let [.., step, kept_step] = tensors;
        let mut input = |what: &str, len| program.tensor(Role::Input, format!("{name}.{what}"), &[len]);
        Inputs {
            shape,
            whole,
            lens: parts.map(|(_, len)| len),
            ids,
            positions,
            types,
            spans,
            id_order,
            position_order,
            type_order,
            masked,
            labels,
            slots,
            step,
            kept_step,
            rope: match config.positions {
                Positions::Rope => Some(input("rope", shape.sequence * config.head_dim())),
                Positions::Learned => None,
            },
            rope_local: match config.positions {
                Positions::Rope if config.sliding_window > 0 => {
                    Some(input("rope_local", shape.sequence * config.head_dim()))
                }
                _ => None,
            },
            position_offset: config.position_offset as u32,
            bounds: Bounds::of(config),
        }
    }

    /// Writes what never changes.
    pub fn prepare(&self, executor: &mut dyn Executor, config: &ModelConfig) {
        for (tensor, base) in [(self.rope, config.rope_base), (self.rope_local, config.rope_local_base)] {
            if let Some(tensor) = tensor {
                let table = rope_table(self.shape.sequence, config.head_dim(), base);
                executor.write(tensor, bytemuck::cast_slice(&table));
            }
        }
    }

    /// The rotary table of a layer that attends globally, or of a local one.
    pub fn rope(&self, global: bool) -> Option<Tensor> {
        if global { self.rope } else { self.rope_local }
    }

    /// Writes a batch that is the first of its step, or the only one: see [`Inputs::write_microbatch`].
    ///
    /// # Errors
    /// As of a microbatch.
    pub fn write(&self, executor: &mut dyn Executor, batch: &Batch, step: StepState) -> Result<()> {
        self.write_microbatch(executor, batch, step, 0)
    }

    /// Writes a microbatch in one upload. Of the step's whole batch `step.first_row` rows and `first_kept` kept ones come
    /// before. Panics when it has another shape.
    ///
    /// # Errors
    /// An index of the batch lies outside of what it points into: kernels do not look.
    pub fn write_microbatch(
        &self,
        executor: &mut dyn Executor,
        batch: &Batch,
        step: StepState,
        first_kept: u32,
    ) -> Result<()> {
        self.bounds.check(batch, self.shape)?;
        let positions: Vec<u32> = batch.positions.iter().map(|position| position + self.position_offset).collect();
        let kept_step = StepState { first_row: first_kept, ..step };
        let parts: [&[u32]; 12] = [
            &batch.ids,
            &positions,
            &batch.types,
            bytemuck::cast_slice(&batch.spans),
            &batch.id_order,
            &batch.position_order,
            &batch.type_order,
            &batch.masked,
            &batch.labels,
            &batch.slots,
            step.words(),
            kept_step.words(),
        ];
        let mut words = Vec::new();
        for (part, len) in parts.into_iter().zip(self.lens) {
            assert_eq!(part.len(), len, "a batch has the shape of its program");
            words.extend_from_slice(part);
            words.resize(words.len().next_multiple_of(ALIGNMENT), 0);
        }
        executor.write(self.whole, &words);
        Ok(())
    }
}

/// cos and sin of position · base^(−2i/head_dim) for every position and pair i, computed in f64.
fn rope_table(sequence: usize, head_dim: usize, base: f64) -> Vec<[f32; 2]> {
    let angle = |position: usize, pair: usize| position as f64 * base.powf(-2.0 * pair as f64 / head_dim as f64);
    let angles = (0..sequence).flat_map(|position| (0..head_dim / 2).map(move |pair| angle(position, pair)));
    angles.map(|angle| [angle.cos() as f32, angle.sin() as f32]).collect()
}
