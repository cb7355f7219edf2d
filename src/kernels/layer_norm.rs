//! Layer norm (Ba, Kiros and Hinton, 2016), with and without bias, and its gradients.

use super::kernel::{Case, Fill, Views, kernel, params};
use super::native::row_blocks;
use rayon::prelude::*;

params! {
    pub struct LayerNorm {
        /// B·T.
        rows: u32,
        width: u32,
        /// Added to the variance.
        epsilon: f32,
    }
}

kernel! {
    /// y = (x − mean) / √(variance + ε) · weight + bias, row by row. `stats` keeps each row's mean and 1/√(variance + ε).
    pub static LAYER_NORM = "layer_norm" (p: &LayerNorm);
    args {
        In x: real[p.rows * p.width],
        In weight: f32[p.width],
        MaybeIn bias: f32[p.width],
        Out y: real[p.rows * p.width],
        Out stats: f32[2 * p.rows],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/reduce.wgsl", "layer_norm.wgsl"] {
        "main": fold(p.rows as usize),
    }
    variant "subgroup" = ["shared/index.wgsl", "shared/reduce_subgroup.wgsl", "layer_norm.wgsl"] {
        needs: SUBGROUP,
        "main": fold(p.rows as usize),
    }
    flops: 8 * p.rows * p.width,
    tolerance: 1e-5,
    exact: false,
    cases: || cases_of(layer_norm_case),
    bench: |s| layer_norm_case(norm(s.rows(), s.width), ANY),
    twin: layer_norm,
}

fn layer_norm(p: &LayerNorm, views: Views) {
    let [x, weight, bias, y, stats] = views.array();
    let (x, weight, bias) = (x.read::<f32>(), weight.read::<f32>(), bias.read::<f32>());
    let width = p.width as usize;
    let stats: &mut [[f32; 2]] = bytemuck::cast_slice_mut(stats.write::<f32>());
    row_blocks(stats, 1 + width / 64, |first, block| {
        for (row, stats) in (first..).zip(block) {
            let x = &x[row * width..][..width];
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            *stats = [mean, 1.0 / (variance + p.epsilon).sqrt()];
        }
    });
    row_blocks(y.write::<f32>(), width, |first, block| {
        for (row, y) in (first..).zip(block.chunks_exact_mut(width)) {
            let [mean, scale] = stats[row];
            let x = &x[row * width..][..width];
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = (x - mean) * scale * weight;
            }
            for (y, bias) in y.iter_mut().zip(bias) {
                *y += bias;
            }
        }
    });
}

/// Sum of `term` over a row in sixteen interleaved parts, which vectorises.
#[inline(always)]
fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0; 16];
    let chunks = x.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&x| term(x)).sum();
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part += term(x);
        }
    }
    parts.iter().sum::<f32>() + rest
}

kernel! {
    /// dx of a layer norm, plus `residual` (the gradient that reaches x past the norm) when it is given.
    pub static LAYER_NORM_BACKWARD = "layer_norm_backward" (p: &LayerNorm);
    args {
        In x: real[p.rows * p.width],
        In weight: f32[p.width],
        In stats: f32[2 * p.rows],
        In dy: real[p.rows * p.width],
        MaybeIn residual: real[p.rows * p.width],
        Out dx: real[p.rows * p.width],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/reduce.wgsl", "layer_norm_backward.wgsl"] {
        "main": fold(p.rows as usize),
    }
    variant "subgroup" = ["shared/index.wgsl", "shared/reduce_subgroup.wgsl", "layer_norm_backward.wgsl"] {
        needs: SUBGROUP,
        "main": fold(p.rows as usize),
    }
    flops: 12 * p.rows * p.width,
    tolerance: 1e-5,
    exact: false,
    cases: || cases_of(layer_norm_backward_case),
    bench: |s| layer_norm_backward_case(norm(s.rows(), s.width), ANY),
    twin: layer_norm_backward,
}

fn layer_norm_backward(p: &LayerNorm, views: Views) {
    let [x, weight, stats, dy, residual, dx] = views.array();
    let (x, weight, dy) = (x.read::<f32>(), weight.read::<f32>(), dy.read::<f32>());
    let (stats, residual) = (stats.read::<[f32; 2]>(), residual.read::<f32>());
    let width = p.width as usize;
    row_blocks(dx.write::<f32>(), width, |first, block| {
        for (row, dx) in (first..).zip(block.chunks_exact_mut(width)) {
            let [mean, scale] = stats[row];
            let (x, dy) = (&x[row * width..][..width], &dy[row * width..][..width]);
            for (((dx, x), dy), weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                *dx = dy * weight * (x - mean); // dx̂·x̂/scale, summed below, then overwritten
            }
            let along = sum(dx, |d| d) * scale / width as f32;
            for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight) {
                *dx = dy * weight;
            }
            let mean_gradient = sum(dx, |d| d) / width as f32;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = scale * (*dx - mean_gradient - (x - mean) * scale * along);
            }
            if !residual.is_empty() {
                for (dx, residual) in dx.iter_mut().zip(&residual[row * width..][..width]) {
                    *dx += residual;
                }
            }
        }
    });
}

/// Rows that one workgroup adds up before the sums of all workgroups are added.
const ROWS_A_GROUP: u32 = 64;

kernel! {
    /// d_weight += Σ dy·x̂ and d_bias += Σ dy over the rows.
    pub static LAYER_NORM_BACKWARD_WEIGHTS = "layer_norm_backward_weights" (p: &LayerNorm);
    args {
        In x: real[p.rows * p.width],
        In stats: f32[2 * p.rows],
        In dy: real[p.rows * p.width],
        Scratch partial: f32[2 * p.rows.div_ceil(ROWS_A_GROUP) * p.width],
        InOut d_weight: f32[p.width],
        MaybeInOut d_bias: f32[p.width],
    }
    constants {
        ROWS_A_GROUP = ROWS_A_GROUP,
    }
    variant "reference" = ["shared/index.wgsl", "layer_norm_backward_weights.wgsl"] {
        "partial_sums": fold((p.rows.div_ceil(ROWS_A_GROUP) * p.width.div_ceil(64)) as usize),
        "total": fold(p.width.div_ceil(64) as usize),
    }
    flops: 5 * p.rows * p.width,
    tolerance: 1e-5,
    exact: false,
    cases: || cases_of(layer_norm_backward_weights_case),
    bench: |s| layer_norm_backward_weights_case(norm(s.rows(), s.width), ANY),
    twin: layer_norm_backward_weights,
}

fn layer_norm_backward_weights(p: &LayerNorm, views: Views) {
    let [x, stats, dy, _, d_weight, d_bias] = views.array();
    let (x, stats, dy) = (x.read::<f32>(), stats.read::<[f32; 2]>(), dy.read::<f32>());
    let (d_weight, d_bias) = (d_weight.write::<f32>(), d_bias.write::<f32>());
    let width = p.width as usize;
    const STRIP: usize = 64;
    let weights = d_weight.par_chunks_mut(STRIP).enumerate().map(|(strip, sums)| (strip, sums, true));
    let biases = d_bias.par_chunks_mut(STRIP).enumerate().map(|(strip, sums)| (strip, sums, false));
    weights.chain(biases).for_each(|(strip, sums, weight)| {
        super::native::simd(|| {
            for (row, &[mean, scale]) in stats.iter().enumerate() {
                let at = row * width + strip * STRIP;
                let (x, dy) = (&x[at..][..sums.len()], &dy[at..][..sums.len()]);
                if weight {
                    for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
                        *sum += dy * ((x - mean) * scale);
                    }
                } else {
                    for (sum, dy) in sums.iter_mut().zip(dy) {
                        *sum += dy;
                    }
                }
            }
        })
    });
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);
const STATS: Fill = Fill::Uniform(0.5, 1.5);

fn norm(rows: u32, width: u32) -> LayerNorm {
    LayerNorm { rows, width, epsilon: 1e-5 }
}

/// A case for each shape, in every second one with the optional argument.
fn cases_of(case: fn(LayerNorm, Fill) -> Case) -> Vec<Case> {
    [(1, 1), (3, 63), (64, 65), (65, 128), (130, 257)]
        .map(|(rows, width)| case(norm(rows, width), if rows % 2 == 1 { ANY } else { Fill::Absent }))
        .into()
}

fn layer_norm_case(p: LayerNorm, bias: Fill) -> Case {
    Case::new(p, [ANY, ANY, bias, Fill::Nothing, Fill::Nothing])
}

fn layer_norm_backward_case(p: LayerNorm, residual: Fill) -> Case {
    Case::new(p, [ANY, ANY, STATS, ANY, residual, Fill::Nothing])
}

fn layer_norm_backward_weights_case(p: LayerNorm, d_bias: Fill) -> Case {
    Case::new(p, [ANY, STATS, ANY, Fill::Nothing, ANY, d_bias])
}
