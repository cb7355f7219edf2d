//! Softmax attention that never stores the [T, T] scores (Dao et al., FlashAttention, 2022). It keeps each row's log-sum-exp,
//! from which `attention_backward.rs` computes the probabilities again.
//!
//! Position i attends to j when both lie in the same document and |i − j| ≤ reach: padding, packed documents and
//! sliding windows are one mechanism. Every row has at least itself to attend to.

use super::case::Sizes;
use super::cpu::gemm::{Cores, Matrix, product};
use super::cpu::math::{Math, with_math};
use super::cpu::reduce::{maximum, sum};
use super::cpu::scratch::with_scratch;
use super::cpu::simd::inlined;
use super::dropout::{DropoutMasks, step_fill};
use super::kernel::{Case, Class, Fill, Params, Views, fold, kernel, params};
use super::mathematics::{dropout_mask, times};
use super::step::{STEP_WORDS, StepState};
use rayon::prelude::*;
use std::ops::Range;

params! {
    pub struct Attention {
        /// Sequences.
        batch: u32,
        heads: u32,
        /// Tokens per sequence.
        sequence: u32,
        /// At most 128.
        head_dim: u32,
        /// How far a position sees to each side; at least `sequence` for global attention.
        reach: u32,
        /// Probability that an attention weight is dropped.
        dropout: f32,
        /// The site of its dropout masks: it tells dropout layers apart.
        site: u32,
    }
}

impl Attention {
    pub(super) fn rows(&self) -> u32 {
        self.batch * self.sequence
    }

    pub(super) fn width(&self) -> u32 {
        self.heads * self.head_dim
    }

    /// The positions that position t of a sequence attends to, given the start and end of its document.
    fn range(&self, t: usize, [start, end]: [u32; 2]) -> Range<usize> {
        (start as usize).max(t.saturating_sub(self.reach as usize))
            ..(end as usize).min(t.saturating_add(self.reach as usize + 1))
    }

    /// The grid with one workgroup for each block of rows of each head.
    pub(super) fn blocks(&self, rows: u32) -> [u32; 3] {
        fold((self.batch * self.heads * self.sequence.div_ceil(rows)) as usize)
    }

    /// The grid of attention_tiles.wgsl, whose threads have `rows` own rows: one workgroup for each block of rows of a head.
    pub(super) fn tiled_grid(&self, rows: u32) -> [u32; 3] {
        let columns = (self.head_dim / 4).max(8);
        let block = if 64 / rows * columns > 256 { 32 } else { 64 };
        self.blocks(block)
    }

    /// The rows of a block on cooperative matrices, as in attention_coop.wgsl.
    fn cooperative_rows(&self) -> u32 {
        if self.head_dim > 64 { 32 } else { 64 }
    }

    /// The FLOP of `products` products of [T, head_dim] by [head_dim, T] in every head, where a multiply-add counts as two.
    pub(super) fn flops(&self, products: u64) -> u64 {
        let keys = u64::from(self.sequence.min(2 * self.reach.min(self.sequence) + 1));
        2 * products * u64::from(self.rows()) * u64::from(self.width()) * keys
    }
}

kernel! {
    /// out = softmax(q·kᵀ)·v for each head, in rows [B·T, width]; lse [B, heads, T]. q is already scaled.
    pub static ATTENTION(AttentionArgs) = "attention" (p: &Attention);
    args {
        In qkv: real[3 * p.rows() * p.width()],
        In spans: u32[2 * p.rows()],
        In step: u32[STEP_WORDS],
        Out y: real[p.rows() * p.width()],
        Out lse: f32[p.rows() * p.heads],
    }
    constants {
        HEAD_DIM = p.head_dim,
        DROPOUT = p.dropout > 0.0,
    }
    variant "reference" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl", "shared/attention.wgsl", "attention.wgsl"
    ] {
        "main": fold((p.rows() * p.heads).div_ceil(64) as usize),
    }
    variant "tiled" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/attention_rows_8.wgsl", "shared/attention_tiles.wgsl",
        "attention_tiled.wgsl"
    ] {
        fits: p.head_dim.is_multiple_of(4),
        "main": p.tiled_grid(8),
    }
    variant "tiled_narrow" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/attention_rows_4.wgsl", "shared/attention_tiles.wgsl",
        "attention_tiled.wgsl"
    ] {
        fits: p.head_dim.is_multiple_of(4),
        "main": p.tiled_grid(4),
    }
    variant "cooperative" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/matrices_16.wgsl", "shared/memory_of_vectors.wgsl",
        "shared/attention_matrices.wgsl", "attention_coop.wgsl"
    ] {
        needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
        matrices: 16,
        workgroup_memory: 32 * 1024,
        fits: p.head_dim.is_multiple_of(16),
        "main": p.blocks(p.cooperative_rows()),
    }
    variant "cooperative_8" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/matrices_8.wgsl", "shared/memory_of_scalars.wgsl",
        "shared/attention_matrices.wgsl", "attention_coop.wgsl"
    ] {
        needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
        matrices: 8,
        workgroup_memory: 32 * 1024,
        fits: p.head_dim.is_multiple_of(8),
        "main": p.blocks(p.cooperative_rows()),
    }
    design(class): match class {
        Class::Integrated => &["cooperative", "cooperative_8", "tiled_narrow", "tiled"],
        class => attention_design(class),
    },
    flops: p.flops(2),
    tolerance: 1e-5,
    exact: false,
    cases: || cases_of(forward_fills),
    bench: |s| bench(s, forward_fills),
    typical: case(*p, p.sequence, forward_fills).fills,
    twin: attention,
    formula(qkv, spans, step) -> [y, lse]: attended(p, qkv, &spans.words, &step.words),
}

/// y and the log-sum-exps, in f64.
pub(super) fn attended(p: &Attention, qkv: &[f64], spans: &[u32], step: &[u32]) -> [Vec<f64>; 2] {
    let [heads, sequence, head_dim] = [p.heads, p.sequence, p.head_dim].map(|size| size as usize);
    let (rows, step) = (p.rows() as usize, StepState::from_words(step));
    let vector = |part: usize, b: usize, head: usize, t: usize| {
        &qkv[part * rows * heads * head_dim + ((b * heads + head) * sequence + t) * head_dim..][..head_dim]
    };
    let (mut y, mut lse) = (vec![0.0; rows * heads * head_dim], Vec::new());
    for number in 0..rows * heads {
        let (b, head, t) = (number / sequence / heads, number / sequence % heads, number % sequence);
        let span = &spans[2 * (b * sequence + t)..][..2];
        let sees = |j: &usize| (span[0]..span[1]).contains(&(*j as u32)) && j.abs_diff(t) <= p.reach as usize;
        let keys: Vec<usize> = (0..sequence).filter(sees).collect();
        let q = vector(0, b, head, t);
        let weights = keys.iter().map(|&j| times(q, vector(1, b, head, j)).iter().sum::<f64>().exp());
        let weights: Vec<f64> = weights.collect();
        let sum = weights.iter().sum::<f64>();
        let y = &mut y[((b * sequence + t) * heads + head) * head_dim..][..head_dim];
        for (&j, weight) in keys.iter().zip(weights) {
            let octet = (u64::from(step.first_row * p.heads + number as u32) << 32) + j as u64 / 8;
            let weight = weight / sum * dropout_mask(step, p.site, octet, j as u32 % 8, p.dropout);
            y.iter_mut().zip(vector(2, b, head, j)).for_each(|(y, v)| *y += weight * v);
        }
        lse.push(sum.ln());
    }
    [y, lse]
}

/// Query rows that the twin handles at once, so that their scores stay in cache.
pub(super) const BLOCK: usize = 128;

fn attention(p: &Attention, views: Views) {
    let [qkv, spans, step, y, lse] = views.array();
    let (qkv, spans, step) = (qkv.read::<f32>(), spans.read::<[u32; 2]>(), StepState::from_words(step.read()));
    let (heads, sequence, width) = (p.heads as usize, p.sequence as usize, p.width() as usize);
    let (y, lse) = (y.write::<f32>(), lse.write::<f32>());
    // Log-sum-exps row by row, as the blocks of rows give them: [B, T, heads].
    with_scratch(lse.len(), |by_rows| {
        let sequences = y.par_chunks_exact_mut(sequence * width).zip(by_rows.par_chunks_exact_mut(sequence * heads));
        sequences.zip(spans.par_chunks_exact(sequence)).enumerate().for_each(|(b, ((y, by_rows), spans))| {
            let blocks = y.par_chunks_mut(BLOCK * width).zip(by_rows.par_chunks_mut(BLOCK * heads)).enumerate();
            blocks.for_each(|(number, (y, by_rows))| {
                let block = Block::new(p, spans, number * BLOCK);
                with_scratch(block.rows * block.keys.len(), |scores| {
                    (0..heads).for_each(|head| block.attend(p, step, (b, head), qkv, spans, scores, y, by_rows));
                });
            });
        });
        lse.par_chunks_exact_mut(sequence).enumerate().for_each(|(number, lse)| {
            let by_rows = &by_rows[number / heads * sequence * heads + number % heads..];
            lse.iter_mut().zip(by_rows.iter().step_by(heads)).for_each(|(lse, by_row)| *lse = *by_row);
        });
    });
}

/// q, k and v of a head, [T, head_dim] each.
pub(super) fn heads<'a>(p: &Attention, qkv: &'a [f32], b: usize, head: usize) -> [&'a [f32]; 3] {
    let size = p.sequence as usize * p.head_dim as usize;
    [0, 1, 2].map(|part| &qkv[((part * p.batch as usize + b) * p.heads as usize + head) * size..][..size])
}

/// Some query rows of a head and the keys that any of them attends to.
pub(super) struct Block {
    first: usize,
    pub rows: usize,
    pub keys: Range<usize>,
}

impl Block {
    pub fn new(p: &Attention, spans: &[[u32; 2]], first: usize) -> Self {
        let rows = BLOCK.min(spans.len() - first);
        let ranges = || (first..first + rows).map(|t| p.range(t, spans[t]));
        let start = ranges().map(|range| range.start).min().unwrap_or(0);
        let end = ranges().map(|range| range.end).max().unwrap_or(0);
        Block { first, rows, keys: start..end }
    }

    /// One head's part of y [rows, width] and of the log-sum-exps [rows, heads].
    #[allow(clippy::too_many_arguments)]
    fn attend(
        &self,
        p: &Attention,
        step: &StepState,
        (b, head): (usize, usize),
        qkv: &[f32],
        spans: &[[u32; 2]],
        scores: &mut [f32],
        y: &mut [f32],
        lse: &mut [f32],
    ) {
        let (head_dim, width, keys) = (p.head_dim as usize, p.width() as usize, self.keys.len());
        let [q, k, v] = heads(p, qkv, b, head);
        let q = Matrix::new(&q[self.first * head_dim..], self.rows, head_dim);
        let k = Matrix::new(&k[self.keys.start * head_dim..], keys, head_dim);
        product(Matrix::new(&mut *scores, self.rows, keys), false, q, k.transposed(), Cores::One);
        for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
            let t = self.first + row;
            let range = self.keys_of(p, spans, t);
            lse[row * p.heads as usize + head] = with_math(inlined!(|math| softmax(math, scores, range)));
            self.drop_out(p, step, b, head, t, scores);
        }
        let scores = Matrix::new(&*scores, self.rows, keys);
        let v = Matrix::new(&v[self.keys.start * head_dim..], keys, head_dim);
        let y = Matrix { row_stride: width, ..Matrix::new(&mut y[head * head_dim..], self.rows, head_dim) };
        product(y, false, scores, v, Cores::One);
    }

    /// The keys that position t attends to, counted from the block's first key.
    pub fn keys_of(&self, p: &Attention, spans: &[[u32; 2]], t: usize) -> Range<usize> {
        let range = p.range(t, spans[t]);
        range.start - self.keys.start..range.end - self.keys.start
    }

    /// Multiplies a row of probabilities, or of their gradients, by its dropout masks.
    #[inline(always)]
    pub fn drop_out(&self, p: &Attention, step: &StepState, b: usize, head: usize, t: usize, row: &mut [f32]) {
        if p.dropout > 0.0 {
            let number = ((b * p.heads as usize + head) * p.sequence as usize + t) as u32;
            DropoutMasks::new(step, p.site, p.dropout).apply_to_weights(p.heads, number, self.keys.start, row);
        }
    }
}

/// Turns the scores of a row into probabilities, zero outside of `range`, and returns their log-sum-exp.
#[inline(always)]
fn softmax(math: Math, row: &mut [f32], range: Range<usize>) -> f32 {
    row[..range.start].fill(0.0);
    row[range.end..].fill(0.0);
    let row = &mut row[range];
    let most = maximum(row);
    for score in row.iter_mut() {
        *score = math.exp(*score - most);
    }
    let sum = sum(row, |score| score);
    let scale = 1.0 / sum;
    row.iter_mut().for_each(|score| *score *= scale);
    most + sum.ln()
}

/// The design of attention, forward and backward.
pub(super) fn attention_design(class: Class) -> &'static [&'static str] {
    match class {
        Class::Discrete | Class::Integrated => &["cooperative", "cooperative_8", "tiled"],
        Class::Software => &[],
    }
}

pub(super) const ANY: Fill = Fill::Uniform(-1.5, 1.5);

/// Makes the fills of a pass from those of spans and step.
pub(super) type Fills = fn(&Attention, Fill, Fill) -> Vec<Fill>;

fn forward_fills(_: &Attention, spans: Fill, step: Fill) -> Vec<Fill> {
    vec![ANY, spans, step, Fill::Nothing, Fill::Nothing]
}

/// Sizes around the blocks of 32 and 64 rows that matrices take: [heads, T, head_dim, reach, documents], and dropout.
fn cases_by_blocks(fills: Fills) -> Vec<Case> {
    let shapes = [
        ([2, 63, 32, 63, 1], 0.0),
        ([1, 64, 64, 64, 2], 0.0),
        ([1, 130, 128, 130, 1], 0.0),
        ([1, 130, 64, 20, 1], 0.1),
        ([2, 130, 64, 130, 4], 0.0),
        ([1, 200, 64, 200, 1], 0.25),
        ([1, 97, 64, 40, 2], 0.25),
    ];
    let cases = shapes.map(|([heads, sequence, head_dim, reach, documents], dropout)| {
        let p = Attention { batch: 1, heads, sequence, head_dim, reach, dropout, site: (1 << 16) + 3 };
        case(p, sequence.div_ceil(documents), fills)
    });
    cases.into()
}

/// Documents of `length` tokens.
pub(super) fn case(p: Attention, length: u32, fills: Fills) -> Case {
    let span = |t: u32| [t / length * length, (t / length * length + length).min(p.sequence)];
    let spans = (0..p.batch).flat_map(|_| 0..p.sequence).flat_map(span).collect();
    Case::new(p, fills(&p, Fill::Words(spans), step_fill(6, 2 * p.sequence)))
}

/// Shapes with documents, windows and dropout: [batch, heads, T, head_dim, reach, documents per sequence].
pub(super) fn cases_of(fills: Fills) -> Vec<Case> {
    let shapes = [
        [1, 1, 1, 1, 1, 1],
        [2, 2, 7, 12, 7, 1],
        [1, 3, 65, 16, 65, 3],
        [2, 1, 70, 64, 4, 2],
        [1, 2, 33, 128, 33, 1],
        [1, 2, 45, 48, 20, 1],
        [1, 1, 130, 96, 130, 1],
        [1, 1, 129, 128, 129, 3],
    ];
    let cases = shapes.map(|[batch, heads, sequence, head_dim, reach, documents]| {
        let dropout = if [12, 48, 96].contains(&head_dim) { 0.25 } else { 0.0 };
        let p = Attention { batch, heads, sequence, head_dim, reach, dropout, site: (1 << 16) + 3 };
        case(p, sequence.div_ceil(documents), fills)
    });
    cases.into_iter().chain(cases_by_blocks(fills)).collect()
}

pub(super) fn bench(s: &Sizes, fills: Fills) -> Case {
    let (batch, heads, sequence, head_dim) = (s.batch, s.heads, s.sequence, s.head_dim());
    case(Attention { batch, heads, sequence, head_dim, reach: sequence, dropout: 0.0, site: 0 }, sequence, fills)
}
