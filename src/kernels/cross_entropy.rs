//! Softmax cross-entropy over the masked rows, with its gradient and the count of right answers in one pass.

use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::math::exp;
use super::native::simd;
use super::step::{STEP_WORDS, StepState};
use rayon::prelude::*;

params! {
    pub struct CrossEntropy {
        /// Masked rows of this chunk.
        rows: u32,
        vocabulary: u32,
        /// 1: the logits are overwritten by their gradient; 0: they stay.
        gradient: u32,
    }
}

/// Words of the `metrics` argument: sum of the rows' cross-entropy, right answers, rows with a label.
pub const METRICS: usize = 3;

kernel! {
    /// metrics += [Σ −ln softmax(logits)[label], Σ (argmax = label), Σ 1] over the rows whose label is not u32::MAX;
    /// logits = their gradient, weighted by `step.loss_weight`.
    pub static CROSS_ENTROPY = "cross_entropy" (p: &CrossEntropy);
    args {
        In labels: u32[p.rows],
        In step: u32[STEP_WORDS],
        InOut logits: real[p.rows * p.vocabulary],
        Scratch results: f32[METRICS as u32 * p.rows],
        InOut metrics: f32[METRICS],
    }
    constants {
        GRADIENT = p.gradient == 1,
    }
    variant "reference" = [
        "shared/index.wgsl", "shared/reduce.wgsl", "shared/step.wgsl", "cross_entropy.wgsl"
    ] {
        "rows": fold(p.rows as usize),
        "total": [1, 1, 1],
    }
    variant "subgroup" = [
        "shared/index.wgsl", "shared/reduce_subgroup.wgsl", "shared/step.wgsl", "cross_entropy.wgsl"
    ] {
        needs: SUBGROUP,
        "rows": fold(p.rows as usize),
        "total": [1, 1, 1],
    }
    flops: 6 * u64::from(p.rows) * u64::from(p.vocabulary),
    tolerance: 1e-5,
    exact: false,
    cases: || [(1, 1, 1), (7, 65, 1), (65, 131, 0), (12, 1000, 1)].map(case).into(),
    bench: |s| case((s.masked, s.vocabulary, 1)),
    twin: cross_entropy,
}

fn cross_entropy(p: &CrossEntropy, views: Views) {
    let [labels, step, logits, results, metrics] = views.array();
    let (labels, step) = (labels.read::<u32>(), StepState::from_words(step.read()));
    let results: &mut [[f32; METRICS]] = bytemuck::cast_slice_mut(results.write::<f32>());
    let rows = logits.write::<f32>().par_chunks_exact_mut(p.vocabulary as usize).zip(&mut *results).zip(labels);
    rows.for_each(|((logits, result), &label)| {
        *result = simd(|| row(logits, label, step.loss_weight, p.gradient == 1));
    });
    let metrics = metrics.write::<f32>();
    for result in results {
        for (metric, result) in metrics.iter_mut().zip(result) {
            *metric += *result;
        }
    }
}

/// The metrics of one row; its logits become their gradient when asked for.
#[inline(always)]
fn row(logits: &mut [f32], label: u32, weight: f32, gradient: bool) -> [f32; METRICS] {
    if label == u32::MAX {
        if gradient {
            logits.fill(0.0);
        }
        return [0.0; METRICS];
    }
    let label = label as usize;
    let own = logits[label];
    let most = maximum(logits);
    let right = own == most && !logits[..label].contains(&most);
    let sum = exponential_sum(logits, most);
    let log_sum = most + sum.ln();
    if gradient {
        let scale = weight / sum;
        logits.iter_mut().for_each(|logit| *logit = scale * exp(*logit - most));
        logits[label] -= weight;
    }
    [log_sum - own, f32::from(u8::from(right)), 1.0]
}

/// In sixteen interleaved parts, which vectorises.
#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let mut parts = [f32::MIN; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder().iter().fold(f32::MIN, |most, &x| most.max(x));
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part = if x > *part { x } else { *part };
        }
    }
    parts.iter().fold(rest, |most, &x| most.max(x))
}

#[inline(always)]
fn exponential_sum(row: &[f32], most: f32) -> f32 {
    let mut parts = [0.0; 16];
    let chunks = row.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&x| exp(x - most)).sum();
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part += exp(x - most);
        }
    }
    parts.iter().sum::<f32>() + rest
}

fn case((rows, vocabulary, gradient): (u32, u32, u32)) -> Case {
    let label = |row: u32| if row % 5 == 4 { u32::MAX } else { row * 31 % vocabulary };
    let step = StepState { learning_rate: 0.0, loss_weight: 0.25, seed_low: 0, seed_high: 0, microbatch: 0 };
    let fills = [
        Fill::Words((0..rows).map(label).collect()),
        Fill::Words(step.words().to_vec()),
        Fill::Uniform(-6.0, 6.0),
        Fill::Nothing,
        Fill::Uniform(0.0, 4.0),
    ];
    Case::new(CrossEntropy { rows, vocabulary, gradient }, fills)
}
