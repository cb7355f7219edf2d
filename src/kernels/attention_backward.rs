//! The gradient of softmax attention. It computes the probabilities of a block of rows again from their log-sum-exps.

use super::attention::{ANY, Attention, BLOCK, Block, attended, attention_design, bench, case, cases_of, heads};
use super::cpu::gemm::{Cores, Matrix, product};
use super::cpu::math::{Math, with_math};
use super::cpu::reduce::dot;
use super::cpu::scratch::with_scratch;
use super::cpu::simd::inlined;
use super::kernel::{Fill, Params, Views, kernel};
use super::mathematics::times;
use super::step::{STEP_WORDS, StepState};
use rayon::prelude::*;
use std::ops::Range;

kernel! {
    /// The gradient of qkv from that of y. `delta` [B, heads, T] is working memory for each row's Σ dy·y.
    pub static ATTENTION_BACKWARD(AttentionBackwardArgs) = "attention_backward" (p: &Attention);
    args {
        In qkv: real[3 * p.rows() * p.width()],
        In spans: u32[2 * p.rows()],
        In step: u32[STEP_WORDS],
        In y: real[p.rows() * p.width()],
        In lse: f32[p.rows() * p.heads],
        In dy: real[p.rows() * p.width()],
        Scratch delta: f32[p.rows() * p.heads],
        Out d_qkv: real[3 * p.rows() * p.width()],
    }
    constants {
        HEAD_DIM = p.head_dim,
        DROPOUT = p.dropout > 0.0,
    }
    variant "reference" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl", "shared/attention.wgsl", "attention_backward.wgsl"
    ] {
        "row_delta": fold((p.rows() * p.heads).div_ceil(64) as usize),
        "query_gradient": fold((p.rows() * p.heads).div_ceil(64) as usize),
        "key_value_gradient": fold((p.rows() * p.heads).div_ceil(64) as usize),
    }
    variant "tiled" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/attention_rows_4.wgsl", "shared/attention_tiles.wgsl",
        "attention_backward_tiled.wgsl"
    ] {
        fits: p.head_dim.is_multiple_of(4),
        "query_gradient": p.tiled_grid(4),
        "key_value_gradient": p.tiled_grid(4),
    }
    variant "cooperative" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/matrices_16.wgsl", "shared/memory_of_vectors.wgsl",
        "shared/attention_matrices.wgsl", "attention_backward_coop.wgsl"
    ] {
        needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
        matrices: 16,
        workgroup_memory: 32 * 1024,
        // Longer heads leave too few registers, since some matrices are held more than once.
        fits: p.head_dim.is_multiple_of(16) && p.head_dim <= 96,
        "query_gradient": p.blocks(32),
        "key_value_gradient": p.blocks(32),
    }
    variant "cooperative_8" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/attention_shape.wgsl",
        "shared/attention_blocks.wgsl", "shared/matrices_8.wgsl", "shared/memory_of_scalars.wgsl",
        "shared/attention_matrices.wgsl", "attention_backward_coop.wgsl"
    ] {
        needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
        matrices: 8,
        workgroup_memory: 32 * 1024,
        fits: p.head_dim.is_multiple_of(8),
        "query_gradient": p.blocks(32),
        "key_value_gradient": p.blocks(32),
    }
    design(class): attention_design(class),
    flops: p.flops(7),
    tolerance: 2e-5,
    exact: false,
    cases: || cases_of(backward_fills),
    bench: |s| bench(s, backward_fills),
    typical: case(*p, p.sequence, backward_fills).fills,
    twin: attention_backward,
    given(qkv, spans, step) -> [y, lse]: attended(p, qkv, &spans.words, &step.words),
    gradient(qkv -> d_qkv; spans, step, dy): times(dy, &attended(p, qkv, &spans.words, &step.words)[0]),
}

fn attention_backward(p: &Attention, views: Views) {
    let [qkv, spans, step, y, lse, dy, _, d_qkv] = views.array();
    let (qkv, spans, step) = (qkv.read::<f32>(), spans.read::<[u32; 2]>(), StepState::from_words(step.read()));
    let (y, lse, dy) = (y.read::<f32>(), lse.read::<f32>(), dy.read::<f32>());
    let (sequence, head_dim, width) = (p.sequence as usize, p.head_dim as usize, p.width() as usize);
    let part = p.batch as usize * sequence * width;
    let (dq, rest) = d_qkv.write::<f32>().split_at_mut(part);
    let (dk, dv) = rest.split_at_mut(part);
    let size = sequence * head_dim;
    let gradients = dq.par_chunks_exact_mut(size).zip(dk.par_chunks_exact_mut(size)).zip(dv.par_chunks_exact_mut(size));
    gradients.enumerate().for_each(|(number, ((dq, dk), dv))| {
        let (b, head) = (number / p.heads as usize, number % p.heads as usize);
        let spans = &spans[b * sequence..][..sequence];
        let lse = &lse[number * sequence..][..sequence];
        let [q, k, v] = heads(p, qkv, b, head);
        let column = b * sequence * width + head * head_dim; // of y and dy
        let row_of_dy = |t: usize| &dy[column + t * width..][..head_dim];
        dq.fill(0.0);
        dk.fill(0.0);
        dv.fill(0.0);
        with_scratch(2 * BLOCK * sequence + 3 * BLOCK * head_dim, |scratch| {
            let (weights, rest) = scratch.split_at_mut(BLOCK * sequence);
            let (d_scores, gathered) = rest.split_at_mut(BLOCK * sequence);
            for first in (0..sequence).step_by(BLOCK) {
                let block = Block::new(p, spans, first);
                // In the last layer most rows have no gradient and add to no other row's, so they are left out.
                let (mut asked, mut rows) = ([0; BLOCK], 0);
                for t in (first..first + block.rows).filter(|&t| row_of_dy(t).iter().any(|&dy| dy != 0.0)) {
                    asked[rows] = t;
                    rows += 1;
                }
                let (asked, keys) = (&asked[..rows], block.keys.len());
                let (weights, d_scores) = (&mut weights[..rows * keys], &mut d_scores[..rows * keys]);
                let (q_rows, others) = gathered.split_at_mut(BLOCK * head_dim);
                let (dy_rows, dq_rows) = others.split_at_mut(BLOCK * head_dim);
                let lines = q_rows.chunks_exact_mut(head_dim).zip(dy_rows.chunks_exact_mut(head_dim));
                for ((q_row, dy_row), &t) in lines.zip(asked) {
                    q_row.copy_from_slice(&q[t * head_dim..][..head_dim]);
                    dy_row.copy_from_slice(row_of_dy(t));
                }
                let key_rows = block.keys.start * head_dim..block.keys.end * head_dim;
                let q_block = Matrix::new(&*q_rows, rows, head_dim);
                let dy_block = Matrix::new(&*dy_rows, rows, head_dim);
                let k_block = Matrix::new(&k[key_rows.clone()], keys, head_dim);
                let v_block = Matrix::new(&v[key_rows.clone()], keys, head_dim);
                product(Matrix::new(&mut *weights, rows, keys), false, q_block, k_block.transposed(), Cores::One);
                product(Matrix::new(&mut *d_scores, rows, keys), false, dy_block, v_block.transposed(), Cores::One);
                let lines = weights.chunks_exact_mut(keys).zip(d_scores.chunks_exact_mut(keys));
                for ((weights, d_scores), &t) in lines.zip(asked) {
                    let range = block.keys_of(p, spans, t);
                    let (y, dy, lse) = (&y[column + t * width..][..head_dim], row_of_dy(t), lse[t]);
                    block.drop_out(p, step, b, head, t, d_scores);
                    with_math(inlined!(|math| score_gradient(math, (weights, d_scores), range, lse, y, dy)));
                    block.drop_out(p, step, b, head, t, weights);
                }
                let weights = Matrix::new(&*weights, rows, keys);
                let d_scores = Matrix::new(&*d_scores, rows, keys);
                product(Matrix::new(&mut *dq_rows, rows, head_dim), false, d_scores, k_block, Cores::One);
                for (dq_row, &t) in dq_rows.chunks_exact(head_dim).zip(asked) {
                    dq[t * head_dim..][..head_dim].copy_from_slice(dq_row);
                }
                let dk_block = Matrix::new(&mut dk[key_rows.clone()], keys, head_dim);
                product(dk_block, true, d_scores.transposed(), q_block, Cores::One);
                let dv_block = Matrix::new(&mut dv[key_rows], keys, head_dim);
                product(dv_block, true, weights.transposed(), dy_block, Cores::One);
            }
        });
    });
}

/// Turns a row of scores into probabilities p and a row of dy·v into the gradient of the scores, p·(dy·v − dy·y); both
/// are zero outside of `range`.
#[inline(always)]
fn score_gradient(
    math: Math,
    (weights, d_scores): (&mut [f32], &mut [f32]),
    range: Range<usize>,
    lse: f32,
    y: &[f32],
    dy: &[f32],
) {
    let delta = dot(y, dy);
    for row in [&mut *weights, &mut *d_scores] {
        row[..range.start].fill(0.0);
        row[range.end..].fill(0.0);
    }
    for (weight, d_score) in weights[range.clone()].iter_mut().zip(&mut d_scores[range]) {
        *weight = math.exp(*weight - lse);
        *d_score = *weight * (*d_score - delta);
    }
}

/// The log-sum-exp of a row is about ln T when scores are about zero. That is enough for a parity test: weights need not sum to
/// one, but f16 must be able to hold them.
fn backward_fills(p: &Attention, spans: Fill, step: Fill) -> Vec<Fill> {
    let lse = (p.sequence as f32).ln();
    let qkv = Fill::Uniform(-0.5, 0.5);
    vec![qkv, spans, step, ANY, Fill::Uniform(lse, lse + 0.5), ANY, Fill::Nothing, Fill::Nothing]
}
