//! The tensors that the host writes: a batch, and what changes from step to step.

use super::bounds::Bounds;
use super::config::{ModelConfig, Positions};
use crate::Result;
use crate::data::{Batch, Orders};
use crate::exec::{Executor, Program, Role, Tensor};
use crate::kernels::Params;
use crate::kernels::step::{STEP_WORDS, StepState};
use bytemuck::Zeroable;

/// The sizes of a batch, fixed for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences, B.
    pub batch: usize,
    /// Tokens per sequence, T.
    pub sequence: usize,
    /// Rows that the task selects, K.
    pub selected: usize,
}

impl Shape {
    /// B·T.
    pub fn rows(&self) -> usize {
        self.batch * self.sequence
    }
}

/// What batches have besides tokens, selected rows and their labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents {
    /// The sort orders that a backward pass needs.
    pub orders: bool,
    /// Classes of whole sequences.
    pub classes: bool,
}

/// The place of a microbatch in its step.
#[derive(Clone, Copy)]
pub struct Microbatch {
    pub step: StepState,
    /// Number of selected rows in the earlier microbatches of the step.
    pub first_selected: u32,
    /// Weight of a sequence's cross-entropy in the loss: one over the number of sequences in the whole step that have a
    /// class.
    pub class_weight: f32,
}

impl Default for Microbatch {
    /// The first microbatch of a step, for passes whose loss is not needed.
    fn default() -> Self {
        Microbatch { step: StepState::zeroed(), first_selected: 0, class_weight: 0.0 }
    }
}

/// Every part of `whole` begins at a multiple of this many words.
const ALIGNMENT: usize = Program::PART_ALIGNMENT / 4;

/// Number of parts of `whole`.
const PARTS: usize = 16;

/// One batch on the device; see `Batch` for what each tensor holds.
#[derive(Clone, Copy)]
pub struct Inputs {
    pub shape: Shape,
    contents: Contents,
    /// Everything that changes with a batch, one part after another, so that one upload is enough.
    whole: Tensor,
    /// Length of each part in words, in the order of `write`; 0 for a part that is absent.
    lens: [usize; PARTS],
    pub ids: Tensor,       // [N]
    pub positions: Tensor, // [N]
    pub types: Tensor,     // [N]
    pub spans: Tensor,     // [N, 2]
    pub selected: Tensor,  // [K]
    pub labels: Tensor,    // [K]
    pub inverse: Tensor,   // [N]
    /// The `step` input of kernels over all rows.
    pub step: Tensor,
    /// The same for kernels over the selected rows: see `row_set.rs`.
    pub selected_step: Tensor,
    pub orders: Option<OrderInputs>,
    pub classes: Option<ClassInputs>,
    /// Cosines and sines, [T, head_dim/2, 2], of global layers; `None` without RoPE.
    rope: Option<Tensor>,
    /// The same for local layers; `None` also without a sliding window.
    rope_local: Option<Tensor>,
    position_offset: u32,
    bounds: Bounds,
}

/// `Orders` on the device, `[N]` each.
#[derive(Clone, Copy)]
pub struct OrderInputs {
    pub ids: Tensor,
    pub positions: Tensor,
    pub types: Tensor,
}

/// `Classes` on the device.
#[derive(Clone, Copy)]
pub struct ClassInputs {
    pub labels: Tensor,  // [B]
    pub firsts: Tensor,  // [B]
    pub inverse: Tensor, // [K]
    /// The `step` input of their cross-entropy.
    pub step: Tensor,
}

impl Inputs {
    pub fn new(program: &mut Program, config: &ModelConfig, shape: Shape, contents: Contents, name: &str) -> Self {
        let (rows, selected) = (shape.rows(), shape.selected);
        let of = |there: bool, len: usize| if there { len } else { 0 };
        let (sorted, sequences) = (of(contents.orders, rows), of(contents.classes, shape.batch));
        let parts = [
            ("ids", rows),
            ("positions", rows),
            ("types", rows),
            ("spans", 2 * rows),
            ("selected", selected),
            ("labels", selected),
            ("inverse", rows),
            ("step", STEP_WORDS),
            ("selected_step", STEP_WORDS),
            ("id_order", sorted),
            ("position_order", sorted),
            ("type_order", sorted),
            ("classes", sequences),
            ("firsts", sequences),
            ("first_inverse", of(contents.classes, selected)),
            ("class_step", of(contents.classes, STEP_WORDS)),
        ];
        let whole =
            program.tensor(Role::Input, name, &[parts.iter().map(|(_, len)| len.next_multiple_of(ALIGNMENT)).sum()]);
        let mut end = 0;
        let tensors = parts.map(|(what, len)| {
            let start = end;
            end += len.next_multiple_of(ALIGNMENT);
            (len > 0).then(|| program.part(whole, start, len, format!("{name}.{what}")))
        });
        let [always @ .., id_order, position_order, type_order, class_labels, firsts, first_inverse, class_step] =
            tensors;
        let [ids, positions, types, spans, selected, labels, inverse, step, selected_step] =
            always.map(|tensor| tensor.expect("a batch has rows, and selects some"));
        let orders = id_order.zip(position_order).zip(type_order);
        let classes = class_labels.zip(firsts).zip(first_inverse).zip(class_step);
        let mut input = |what: &str, len| program.tensor(Role::Input, format!("{name}.{what}"), &[len]);
        Inputs {
            shape,
            contents,
            whole,
            lens: parts.map(|(_, len)| len),
            ids,
            positions,
            types,
            spans,
            selected,
            labels,
            inverse,
            step,
            selected_step,
            orders: orders.map(|((ids, positions), types)| OrderInputs { ids, positions, types }),
            classes: classes.map(|(((labels, firsts), inverse), step)| ClassInputs { labels, firsts, inverse, step }),
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

    /// Writes the inputs that never change.
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

    /// Writes a microbatch in one upload. Panics if it has another shape, or lacks what the program was recorded with.
    ///
    /// # Errors
    /// An index of the batch is out of bounds. Kernels do not check.
    pub fn write(&self, executor: &mut dyn Executor, batch: &Batch, microbatch: Microbatch) -> Result<()> {
        self.bounds.check(batch, self.shape)?;
        let Microbatch { step, first_selected, class_weight } = microbatch;
        let positions: Vec<u32> = batch.positions.iter().map(|position| position + self.position_offset).collect();
        let selected_step = StepState { first_row: first_selected, ..step };
        let class_step = StepState { loss_weight: class_weight, ..step };
        let Contents { orders, classes } = self.contents;
        let [id_order, position_order, type_order]: [&[u32]; 3] = match &batch.orders {
            Some(Orders { ids, positions, types }) if orders => [ids, positions, types],
            _ => [&[]; 3],
        };
        let whole = &batch.classes;
        let [labels, firsts, inverse, class_step]: [&[u32]; 4] = match classes {
            true => [&whole.labels, &whole.firsts, &whole.inverse, class_step.words()],
            false => [&[]; 4],
        };
        let parts: [&[u32]; PARTS] = [
            &batch.ids,
            &positions,
            &batch.types,
            bytemuck::cast_slice(&batch.spans),
            &batch.selected,
            &batch.labels,
            &batch.inverse,
            step.words(),
            selected_step.words(),
            id_order,
            position_order,
            type_order,
            labels,
            firsts,
            inverse,
            class_step,
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
