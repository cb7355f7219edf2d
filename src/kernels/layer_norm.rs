//! Layer norm (Ba, Kiros and Hinton, 2016), with and without bias, and its gradients.

use super::dropout::DropoutMasks;
use super::kernel::{Case, Fill, Views, kernel, params};
use super::lanes::{add, dot, sum};
use super::native::{row_block_pairs, rows_a_block, simd};
use super::step::STEP_WORDS;
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
    pub static LAYER_NORM(LayerNormArgs) = "layer_norm" (p: &LayerNorm);
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
    let rows = rows_a_block(width);
    let blocks = y.write::<f32>().par_chunks_mut(rows * width).zip(stats.par_chunks_mut(rows)).enumerate();
    blocks.for_each(|(block, (y, stats))| {
        simd(
            #[inline(always)]
            || {
                for ((y, stats), x) in
                    y.chunks_exact_mut(width).zip(stats).zip(x[block * rows * width..].chunks_exact(width))
                {
                    let mean = sum(x, |x| x) / width as f32;
                    let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
                    let scale = 1.0 / (variance + p.epsilon).sqrt();
                    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                        *y = (x - mean) * scale * weight;
                    }
                    add(y, bias);
                    *stats = [mean, scale];
                }
            },
        );
    });
}

params! {
    pub struct LayerNormBackward {
        /// B·T.
        rows: u32,
        width: u32,
        /// Of the dropout that gives `dropped`: the probability that an element is dropped, in [0, 1).
        rate: f32,
        /// Tells the dropout layers of a model apart.
        site: u32,
    }
}

kernel! {
    /// dx of a layer norm, plus `residual` (the gradient that reaches x past the norm) when it is given. `dropped`, given
    /// with `step`, is dx through dropout: the gradient of a branch, where x is what the branch was added to.
    pub static LAYER_NORM_BACKWARD(LayerNormBackwardArgs) = "layer_norm_backward" (p: &LayerNormBackward);
    args {
        In x: real[p.rows * p.width],
        In weight: f32[p.width],
        In stats: f32[2 * p.rows],
        In dy: real[p.rows * p.width],
        MaybeIn residual: real[p.rows * p.width],
        MaybeIn step: u32[STEP_WORDS],
        Out dx: real[p.rows * p.width],
        MaybeOut dropped: real[p.rows * p.width],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/reduce.wgsl", "layer_norm_backward.wgsl"
    ] {
        "main": fold(p.rows as usize),
    }
    variant "subgroup" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/reduce_subgroup.wgsl", "layer_norm_backward.wgsl"
    ] {
        needs: SUBGROUP,
        "main": fold(p.rows as usize),
    }
    flops: 12 * p.rows * p.width,
    tolerance: 1e-5,
    exact: false,
    cases: layer_norm_backward_cases,
    bench: |s| layer_norm_backward_case(norm(s.rows(), s.width), ANY),
    twin: layer_norm_backward,
}

fn layer_norm_backward(p: &LayerNormBackward, views: Views) {
    let [x, weight, stats, dy, residual, step, dx, dropped] = views.array();
    let (x, weight, dy) = (x.read::<f32>(), weight.read::<f32>(), dy.read::<f32>());
    let (stats, residual) = (stats.read::<[f32; 2]>(), residual.read::<f32>());
    let dropout = DropoutMasks::given(step.read(), p.site, p.rate);
    let width = p.width as usize;
    row_block_pairs(
        dx.write::<f32>(),
        dropped.write::<f32>(),
        width,
        #[inline(always)]
        |first, block, dropped| {
            for (row, dx) in (first..).zip(block.chunks_exact_mut(width)) {
                let [mean, scale] = stats[row];
                let (x, dy) = (&x[row * width..][..width], &dy[row * width..][..width]);
                for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight) {
                    *dx = dy * weight;
                }
                let mean_gradient = sum(dx, |d| d) / width as f32;
                let along = (dot(dx, x) / width as f32 - mean_gradient * mean) * scale;
                for (dx, x) in dx.iter_mut().zip(x) {
                    *dx = scale * (*dx - mean_gradient - (x - mean) * scale * along);
                }
                if !residual.is_empty() {
                    add(dx, &residual[row * width..][..width]);
                }
            }
            if let Some(masks) = dropout {
                dropped.copy_from_slice(block);
                masks.apply(0, first * width, dropped);
            }
        },
    );
}

/// Rows that one workgroup adds up before the sums of all workgroups are added.
const ROWS_A_GROUP: u32 = 64;

kernel! {
    /// d_weight += Σ dy·x̂ and d_bias += Σ dy over the rows.
    pub static LAYER_NORM_BACKWARD_WEIGHTS(LayerNormBackwardWeightsArgs) = "layer_norm_backward_weights" (p: &LayerNorm);
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
    let [x, stats, dy, partial, d_weight, d_bias] = views.array();
    let (x, stats, dy) = (x.read::<f32>(), stats.read::<[f32; 2]>(), dy.read::<f32>());
    let (partial, d_weight, d_bias) = (partial.write::<f32>(), d_weight.write::<f32>(), d_bias.write::<f32>());
    let (width, rows) = (p.width as usize, ROWS_A_GROUP as usize);
    partial.par_chunks_exact_mut(2 * width).enumerate().for_each(|(group, sums)| {
        simd(
            #[inline(always)]
            || {
                sums.fill(0.0);
                let (weight, bias) = sums.split_at_mut(width);
                let first = group * rows;
                let x = x[first * width..].chunks_exact(width);
                let dy = dy[first * width..].chunks_exact(width);
                for ((x, dy), &[mean, scale]) in x.zip(dy).zip(&stats[first..]).take(rows) {
                    for (((weight, bias), x), dy) in weight.iter_mut().zip(&mut *bias).zip(x).zip(dy) {
                        *weight += dy * ((x - mean) * scale);
                        *bias += dy;
                    }
                }
            },
        );
    });
    simd(
        #[inline(always)]
        || {
            for sums in partial.chunks_exact(2 * width) {
                let (weight, bias) = sums.split_at(width);
                add(d_weight, weight);
                add(d_bias, bias);
            }
        },
    );
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);
const STATS: Fill = Fill::Uniform(0.5, 1.5);

fn norm(rows: u32, width: u32) -> LayerNorm {
    LayerNorm { rows, width, epsilon: 1e-5 }
}

/// A case for each shape, in every second one with the optional argument.
fn cases_of(case: impl Fn(LayerNorm, Fill) -> Case) -> Vec<Case> {
    [(1, 1), (3, 63), (64, 65), (65, 128), (130, 257)]
        .map(|(rows, width)| case(norm(rows, width), if rows % 2 == 1 { ANY } else { Fill::Absent }))
        .into()
}

fn layer_norm_case(p: LayerNorm, bias: Fill) -> Case {
    Case::new(p, [ANY, ANY, bias, Fill::Nothing, Fill::Nothing])
}

fn layer_norm_backward_case(LayerNorm { rows, width, .. }: LayerNorm, residual: Fill) -> Case {
    let p = LayerNormBackward { rows, width, rate: 0.0, site: 0 };
    Case::new(p, [ANY, ANY, STATS, ANY, residual, Fill::Absent, Fill::Nothing, Fill::Absent])
}

fn layer_norm_backward_cases() -> Vec<Case> {
    let dropped = |p: LayerNorm, residual| {
        let Case { mut fills, .. } = layer_norm_backward_case(p, residual);
        (fills[5], fills[7]) = (Fill::Words(vec![0, 0, 17, p.width, 3]), Fill::Nothing);
        let p = LayerNormBackward { rows: p.rows, width: p.width, rate: 0.2, site: (1 << 16) + p.rows };
        Case::new(p, fills)
    };
    [cases_of(layer_norm_backward_case), cases_of(dropped)].concat()
}

fn layer_norm_backward_weights_case(p: LayerNorm, d_bias: Fill) -> Case {
    Case::new(p, [ANY, STATS, ANY, Fill::Nothing, ANY, d_bias])
}
