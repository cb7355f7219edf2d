//! Layer norm (Ba, Kiros and Hinton, 2016), with and without bias, and its gradients.
//!
//! The variants `quads` keep a row in the registers of 64 threads, so that it is read once.

use super::cpu::parallel::{each_row_with, row_block_pairs, sum_groups};
use super::cpu::reduce::{add, dot, sum};
use super::cpu::simd::inlined;
use super::dropout::{DropoutMasks, step_fill};
use super::kernel::{Case, Fill, Views, kernel, params};
use super::mathematics::{dropped, plus, times};
use super::step::STEP_WORDS;
use crate::random::{Site, Stream};

params! {
    pub struct LayerNorm {
        /// B·T.
        rows: u32,
        width: u32,
        /// Added to the variance.
        epsilon: f32,
    }
}

/// Quads of a row that each of 64 threads holds.
fn quads(width: u32) -> u32 {
    width.div_ceil(4 * 64)
}

/// Whether rows are whole quads and fit into registers; the backward pass takes 16 registers for each quad.
fn quads_fit(width: u32) -> bool {
    width.is_multiple_of(4) && quads(width) <= 8
}

const DESIGN: &[&str] = &["quads_subgroup", "quads", "subgroup"];

kernel! {
    /// y = (x − mean) / √(variance + ε) · weight + bias for each row. `stats` keeps each row's mean and rstd, 1/√(variance +
    /// ε).
    pub static LAYER_NORM(LayerNormArgs) = "layer_norm" (p: &LayerNorm);
    args {
        In x: real[p.rows * p.width],
        In weight: f32[p.width],
        MaybeIn bias: f32[p.width],
        Out y: real[p.rows * p.width],
        Out stats: f32[2 * p.rows],
    }
    constants {
        QUADS = quads(p.width),
    }
    variant "reference" = ["shared/index.wgsl", "shared/reduce.wgsl", "layer_norm.wgsl"] {
        "main": fold(p.rows as usize),
    }
    variant "subgroup" = ["shared/index.wgsl", "shared/reduce_subgroup.wgsl", "layer_norm.wgsl"] {
        needs: SUBGROUP,
        "main": fold(p.rows as usize),
    }
    variant "quads" = ["shared/index.wgsl", "shared/reduce.wgsl", "layer_norm_quads.wgsl"] {
        fits: quads_fit(p.width),
        "main": fold(p.rows as usize),
    }
    variant "quads_subgroup" = ["shared/index.wgsl", "shared/reduce_subgroup.wgsl", "layer_norm_quads.wgsl"] {
        needs: SUBGROUP,
        fits: quads_fit(p.width),
        "main": fold(p.rows as usize),
    }
    design(class): on_gpus(class, DESIGN),
    flops: 8 * p.rows * p.width,
    tolerance: 1e-5,
    exact: false,
    cases: || cases_of(layer_norm_case),
    bench: |s| layer_norm_case(norm(s.rows(), s.width), ANY),
    twin: layer_norm,
    formula(x, weight, bias) -> [y, stats]: normalised(x, weight, bias, p.epsilon),
}

/// y and the statistics of rows, in f64.
fn normalised(x: &[f64], weight: &[f64], bias: &[f64], epsilon: f32) -> [Vec<f64>; 2] {
    let width = weight.len() as f64;
    let (mut y, mut stats) = (Vec::new(), Vec::new());
    for row in x.chunks(weight.len()) {
        let mean = row.iter().sum::<f64>() / width;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
        let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
        let scaled: Vec<f64> = row.iter().map(|x| (x - mean) * scale).collect();
        y.extend(plus(&times(&scaled, weight), bias));
        stats.extend([mean, scale]);
    }
    [y, stats]
}

fn layer_norm(p: &LayerNorm, views: Views) {
    let [x, weight, bias, y, stats] = views.array();
    let (x, weight, bias) = (x.read::<f32>(), weight.read::<f32>(), bias.read::<f32>());
    let width = p.width as usize;
    each_row_with(
        y.write(),
        width,
        stats.write::<[f32; 2]>(),
        inlined!(|row, y, stats| {
            let x = &x[row * width..][..width];
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + p.epsilon).sqrt();
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = (x - mean) * scale * weight;
            }
            add(y, bias);
            *stats = [mean, scale];
        }),
    );
}

params! {
    pub struct LayerNormBackward {
        /// B·T.
        rows: u32,
        width: u32,
        /// The forward pass's ε.
        epsilon: f32,
        /// For the dropout that gives `dropped`: the probability that an element is dropped, in [0, 1).
        rate: f32,
        /// Tells the dropout layers of a model apart.
        site: u32,
    }
}

impl LayerNormBackward {
    /// Rows that one workgroup sums: few enough for about 512 workgroups, and many enough to leave few partial sums.
    fn rows_a_group(&self) -> u32 {
        self.rows.div_ceil(512).clamp(8, 64)
    }

    fn groups(&self) -> u32 {
        self.rows.div_ceil(self.rows_a_group())
    }

    /// Workgroups of the pass that adds up the partial sums: one for each block of 32 columns, of the weight and of the bias.
    fn total_grid(&self) -> [u32; 3] {
        [self.width.div_ceil(32), 2, 1]
    }
}

kernel! {
    /// dx of a layer norm, plus `residual` (the gradient that reaches x around the norm) if it is given. `dropped`, given with
    /// `step`, is dx after dropout: the gradient of a branch whose output was added to give x. Also d_weight += Σ dy·x̂ and
    /// d_bias += Σ dy over the rows.
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
        ShaderScratch partial: f32[2 * p.groups() * p.width],
        InOut d_weight: f32[p.width],
        MaybeInOut d_bias: f32[p.width],
    }
    constants {
        QUADS = quads(p.width),
        ROWS_A_GROUP = p.rows_a_group(),
    }
    variant "reference" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl", "shared/dropout_rows.wgsl",
        "shared/reduce.wgsl", "layer_norm_backward.wgsl"
    ] {
        "rows"(x, weight, stats, dy, residual, step, dx, dropped): fold(p.rows as usize),
        "partial_sums"(x, stats, dy, partial): fold((p.groups() * p.width.div_ceil(64)) as usize),
        "total"(partial, d_weight, d_bias): fold(p.width.div_ceil(64) as usize),
    }
    variant "subgroup" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl", "shared/dropout_rows.wgsl",
        "shared/reduce_subgroup.wgsl", "layer_norm_backward.wgsl"
    ] {
        needs: SUBGROUP,
        "rows"(x, weight, stats, dy, residual, step, dx, dropped): fold(p.rows as usize),
        "partial_sums"(x, stats, dy, partial): fold((p.groups() * p.width.div_ceil(64)) as usize),
        "total"(partial, d_weight, d_bias): fold(p.width.div_ceil(64) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl", "shared/dropout_rows.wgsl",
        "shared/reduce.wgsl", "layer_norm_backward_quads.wgsl"
    ] {
        fits: quads_fit(p.width),
        "rows"(x, weight, dy, residual, step, dx, dropped, partial): fold(p.groups() as usize),
        "total"(partial, d_weight, d_bias): p.total_grid(),
    }
    variant "quads_subgroup" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl", "shared/dropout_rows.wgsl",
        "shared/reduce_subgroup.wgsl", "layer_norm_backward_quads.wgsl"
    ] {
        needs: SUBGROUP,
        fits: quads_fit(p.width),
        "rows"(x, weight, dy, residual, step, dx, dropped, partial): fold(p.groups() as usize),
        "total"(partial, d_weight, d_bias): p.total_grid(),
    }
    design(class): on_gpus(class, DESIGN),
    flops: 17 * p.rows * p.width,
    tolerance: 1e-5,
    exact: false,
    cases: layer_norm_backward_cases,
    bench: |s| layer_norm_backward_case(norm(s.rows(), s.width), ANY),
    twin: layer_norm_backward,
    given(x, weight) -> [stats]: { let [_, stats] = normalised(x, weight, &[], p.epsilon); [stats] },
    gradient(x -> dx, branch -> dropped, weight -> d_weight, bias -> d_bias; dy, residual, step): {
        let x = plus(x, &dropped(branch, p.width, &step.words, p.site, p.rate));
        let [y, _] = normalised(&x, weight, bias, p.epsilon);
        [times(dy, &y), times(residual, &x)].concat()
    },
}

fn layer_norm_backward(p: &LayerNormBackward, views: Views) {
    let [x, weight, stats, dy, residual, step, dx, dropped, _, d_weight, d_bias] = views.array();
    let (x, weight, dy) = (x.read::<f32>(), weight.read::<f32>(), dy.read::<f32>());
    let (stats, residual) = (stats.read::<[f32; 2]>(), residual.read::<f32>());
    let width = p.width as usize;
    weight_gradients(width, x, stats, dy, [d_weight.write(), d_bias.write()]);
    let dropout = DropoutMasks::given(step.read(), p.site, p.rate);
    row_block_pairs(
        dx.write::<f32>(),
        dropped.write::<f32>(),
        width,
        inlined!(|first, block, dropped| {
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
                masks.apply(width, first * width, dropped);
            }
        }),
    );
}

/// d_weight += Σ dy·x̂ and, unless it is empty, d_bias += Σ dy.
fn weight_gradients(width: usize, x: &[f32], stats: &[[f32; 2]], dy: &[f32], [d_weight, d_bias]: [&mut [f32]; 2]) {
    sum_groups(
        stats.len(),
        2 * width,
        inlined!(|rows, sums| {
            let (weight, bias) = sums.split_at_mut(width);
            let elements = rows.start * width..rows.end * width;
            let lines = x[elements.clone()].chunks_exact(width).zip(dy[elements].chunks_exact(width));
            for ((x, dy), &[mean, scale]) in lines.zip(&stats[rows]) {
                for (((weight, bias), x), dy) in weight.iter_mut().zip(&mut *bias).zip(x).zip(dy) {
                    *weight += dy * ((x - mean) * scale);
                    *bias += dy;
                }
            }
        }),
        inlined!(|sums| {
            let (weight, bias) = sums.split_at(width);
            add(d_weight, weight);
            add(d_bias, bias);
        }),
    );
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);

fn norm(rows: u32, width: u32) -> LayerNorm {
    LayerNorm { rows, width, epsilon: 1e-5 }
}

/// One case for each shape, every second one with the optional argument. Some have an ε so large that a missing one would show.
fn cases_of(case: impl Fn(LayerNorm, Fill) -> Case) -> Vec<Case> {
    [(1, 1), (3, 63), (64, 65), (65, 128), (130, 257), (71, 260), (2, 1028), (5000, 4)]
        .map(|(rows, width)| {
            let epsilon = if width % 4 == 0 { 1e-2 } else { 1e-5 };
            case(LayerNorm { rows, width, epsilon }, if rows % 2 == 1 { ANY } else { Fill::Absent })
        })
        .into()
}

fn layer_norm_case(p: LayerNorm, bias: Fill) -> Case {
    Case::new(p, [ANY, ANY, bias, Fill::Nothing, Fill::Nothing])
}

fn layer_norm_backward_case(p: LayerNorm, residual: Fill) -> Case {
    let LayerNorm { rows, width, epsilon } = p;
    let (x, stats) = normed(&p);
    let p = LayerNormBackward { rows, width, epsilon, rate: 0.0, site: 0 };
    let d_bias = if rows % 3 == 2 { Fill::Absent } else { ANY };
    let nothing = Fill::Nothing;
    Case::new(p, [x, ANY, stats, ANY, residual, Fill::Absent, nothing.clone(), Fill::Absent, nothing, ANY, d_bias])
}

/// x and its statistics, which must match, since some variants compute them again. The numbers are exact in f16 too.
fn normed(p: &LayerNorm) -> (Fill, Fill) {
    let mut stream = Stream::new(1, Site::Order, 0);
    let x: Vec<f32> = (0..p.rows * p.width).map(|_| stream.below(257) as f32 / 64.0 - 2.0).collect();
    let statistics = |row: &[f32]| {
        let mean = row.iter().sum::<f32>() / row.len() as f32;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / row.len() as f32;
        [mean, 1.0 / (variance + p.epsilon).sqrt()]
    };
    let stats = x.chunks_exact(p.width as usize).flat_map(statistics);
    (Fill::Words(x.iter().map(|x| x.to_bits()).collect()), Fill::Words(stats.map(f32::to_bits).collect()))
}

fn layer_norm_backward_cases() -> Vec<Case> {
    let dropped = |p: LayerNorm, residual| {
        let Case { mut fills, .. } = layer_norm_backward_case(p, residual);
        (fills[5], fills[7]) = (step_fill(p.width, p.rows), Fill::Nothing);
        let LayerNorm { rows, width, epsilon } = p;
        Case::new(LayerNormBackward { rows, width, epsilon, rate: 0.2, site: (1 << 16) + rows }, fills)
    };
    [cases_of(layer_norm_backward_case), cases_of(dropped)].concat()
}
