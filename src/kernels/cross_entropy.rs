//! Softmax cross-entropy over selected rows, with its gradient and the number of correct predictions, in one pass.

use super::cpu::math::{Math, with_math};
use super::cpu::parallel::each_row_with;
use super::cpu::reduce::{maximum, sum};
use super::cpu::simd::inlined;
use super::gradient_norm::{OPTIMIZER_WORDS, OptimizerState};
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::mathematics::plus;
use super::step::{STEP_WORDS, StepState};

params! {
    pub struct CrossEntropy {
        /// Selected rows of this chunk.
        rows: u32,
        vocabulary: u32,
        /// Columns of the logits: the vocabulary, then padding, which is never predicted.
        columns: u32,
        /// 1: the gradient overwrites the logits; 0: they stay.
        gradient: u32,
    }
}

/// Columns of the logits of a vocabulary. It's a multiple of what kernels load at once and of the side of cooperative matrices,
/// whatever the vocabulary's size. It isn't a multiple of a page, since one column's logits would then compete for the same
/// cache lines.
pub fn columns_of(vocabulary: usize) -> usize {
    let columns = vocabulary.next_multiple_of(16);
    if columns.is_multiple_of(1024) { columns + 16 } else { columns }
}

/// Words of the `metrics` argument: the sum of the rows' cross-entropy, correct predictions, rows with a label.
pub const METRICS: usize = 3;

kernel! {
    /// `metrics += [Σ −ln softmax(logits)[label], Σ (argmax = label), Σ 1]` over the rows whose label is not u32::MAX. The
    /// logits become their gradient, weighted by `step.loss_weight` and, if the optimiser's state is given, by its loss scale;
    /// the padding's is zero. If logits are too large for a finite loss, the loss and its gradient are infinite, so that the
    /// step is skipped.
    pub static CROSS_ENTROPY(CrossEntropyArgs) = "cross_entropy" (p: &CrossEntropy);
    args {
        In labels: u32[p.rows],
        In step: u32[STEP_WORDS],
        MaybeIn optimizer: f32[OPTIMIZER_WORDS],
        InOut logits: real[p.rows * p.columns],
        Scratch results: f32[METRICS as u32 * p.rows],
        InOut metrics: f32[METRICS],
    }
    constants {
        GRADIENT = p.gradient == 1,
    }
    variant "reference" = [
        "shared/index.wgsl", "shared/reduce.wgsl", "shared/step.wgsl", "shared/optimizer.wgsl", "cross_entropy.wgsl"
    ] {
        "rows": fold(p.rows as usize),
        "total": [1, 1, 1],
    }
    variant "subgroup" = [
        "shared/index.wgsl", "shared/reduce_subgroup.wgsl", "shared/step.wgsl", "shared/optimizer.wgsl",
        "cross_entropy.wgsl"
    ] {
        needs: SUBGROUP,
        "rows": fold(p.rows as usize),
        "total": [1, 1, 1],
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/reduce.wgsl", "shared/step.wgsl", "shared/optimizer.wgsl", "cross_entropy_quads.wgsl"
    ] {
        fits: p.columns.is_multiple_of(4),
        "rows": fold(p.rows as usize),
        "total": [1, 1, 1],
    }
    variant "quads_subgroup" = [
        "shared/index.wgsl", "shared/reduce_subgroup.wgsl", "shared/step.wgsl", "shared/optimizer.wgsl",
        "cross_entropy_quads.wgsl"
    ] {
        needs: SUBGROUP,
        fits: p.columns.is_multiple_of(4),
        "rows": fold(p.rows as usize),
        "total": [1, 1, 1],
    }
    design(class): on_gpus(class, &["quads_subgroup", "quads", "subgroup"]),
    flops: 6 * u64::from(p.rows) * u64::from(p.vocabulary),
    tolerance: 1e-5,
    exact: false,
    cases: cases,
    bench: |s| case((s.masked, s.vocabulary, columns_of(s.vocabulary as usize) as u32 - s.vocabulary, 1)),
    twin: cross_entropy,
    formula(labels, step, optimizer, logits, metrics) -> [logits, metrics]: {
        let rows: Vec<Row> = rows_of(p, &labels.words, logits);
        let weight = weight_of(&step.words, &optimizer.words);
        let gradients = rows.iter().flat_map(|row| row.gradient(p, weight));
        let gradients = if p.gradient == 1 { gradients.collect() } else { logits.to_vec() };
        [gradients, rows.iter().fold(metrics.to_vec(), |sums, row| plus(&sums, &row.metrics()))]
    },
    gradient(logits -> logits; labels, step, optimizer): {
        let weight = if p.gradient == 1 { weight_of(&step.words, &optimizer.words) } else { f64::NAN };
        rows_of(p, &labels.words, logits).iter().map(|row| weight * row.metrics()[0]).collect()
    },
}

fn cross_entropy(p: &CrossEntropy, views: Views) {
    let [labels, step, optimizer, logits, results, metrics] = views.array();
    let (labels, step) = (labels.read::<u32>(), StepState::from_words(step.read()));
    let scale =
        bytemuck::cast_slice::<f32, OptimizerState>(optimizer.read()).first().map_or(1.0, |state| state.loss_scale);
    let weight = step.loss_weight * scale;
    let results = results.write::<[f32; METRICS]>();
    each_row_with(
        logits.write::<f32>(),
        p.columns as usize,
        results,
        inlined!(|number, logits, result| {
            let (logits, padding) = logits.split_at_mut(p.vocabulary as usize);
            if p.gradient == 1 {
                padding.fill(0.0);
            }
            *result = with_math(inlined!(|math| row(math, logits, labels[number], weight, p.gradient == 1)));
        }),
    );
    let metrics = metrics.write::<f32>();
    for result in results {
        for (metric, result) in metrics.iter_mut().zip(result) {
            *metric += *result;
        }
    }
}

/// The metrics of one row. Its logits become their gradient if that is asked for.
#[inline(always)]
fn row(math: Math, logits: &mut [f32], label: u32, weight: f32, gradient: bool) -> [f32; METRICS] {
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
    let sum = sum(logits, inlined!(|logit| math.exp(logit - most)));
    let log_sum = most + sum.ln();
    if !log_sum.is_finite() {
        if gradient {
            logits.fill(f32::INFINITY);
        }
        return [f32::INFINITY, 0.0, 1.0];
    }
    if gradient {
        let scale = weight / sum;
        for logit in logits.iter_mut() {
            *logit = scale * math.exp(*logit - most);
        }
        logits[label] -= weight;
    }
    [log_sum - own, f32::from(u8::from(right)), 1.0]
}

/// The weight of a row's cross-entropy in the scaled loss, in f64.
fn weight_of(step: &[u32], optimizer: &[u32]) -> f64 {
    let scale = if optimizer.is_empty() { 1.0 } else { OptimizerState::from_words(optimizer).loss_scale };
    f64::from(StepState::from_words(step).loss_weight) * f64::from(scale)
}

/// A row with a label in f64, or one without.
struct Row<'a> {
    logits: &'a [f64],
    label: Option<usize>,
}

fn rows_of<'a>(p: &CrossEntropy, labels: &[u32], logits: &'a [f64]) -> Vec<Row<'a>> {
    let rows = logits.chunks(p.columns as usize).zip(labels);
    let row = |(logits, label): (&'a [f64], &u32)| Row {
        logits: &logits[..p.vocabulary as usize],
        label: (*label != u32::MAX).then_some(*label as usize),
    };
    rows.map(row).collect()
}

impl Row<'_> {
    /// Cross-entropy, whether the label is the first of the largest logits, and 1 for the row.
    fn metrics(&self) -> [f64; METRICS] {
        let Some(label) = self.label else { return [0.0; METRICS] };
        let sum = self.logits.iter().map(|x| x.exp()).sum::<f64>();
        let more = |(place, x): (usize, &f64)| *x > self.logits[label] || (*x == self.logits[label] && place < label);
        let right = sum.is_finite() && !self.logits.iter().enumerate().any(more);
        [sum.ln() - self.logits[label], f64::from(u8::from(right)), 1.0]
    }

    /// weight·(softmax − one at the label), infinite where the cross-entropy is, and zero in the padding.
    fn gradient(&self, p: &CrossEntropy, weight: f64) -> Vec<f64> {
        let sum = self.logits.iter().map(|x| x.exp()).sum::<f64>();
        let element = |place: usize| match self.label {
            Some(_) if place < self.logits.len() && !sum.is_finite() => f64::INFINITY,
            Some(label) if place < self.logits.len() => {
                weight * (self.logits[place].exp() / sum - f64::from(u8::from(place == label)))
            }
            _ => 0.0,
        };
        (0..p.columns as usize).map(element).collect()
    }
}

/// Cases with padding, with a scaled loss, with logits that are too large, and with ties, which the smaller id wins.
fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (1, 1, 0, 1),
        (7, 65, 15, 1),
        (65, 131, 1, 0),
        (12, 1000, 0, 1),
        (9, 70, 10, 1),
        (3, 66, 2, 1),
        (3, 1026, 6, 1),
        (260, 18, 2, 1),
    ]
    .map(case)
    .into();
    let state = OptimizerState { loss_scale: 512.0, ..bytemuck::Zeroable::zeroed() };
    cases[4].fills[2] = Fill::Words(state.words().to_vec());
    let logits = (0..3 * 68).map(|i| if i == 70 { f32::INFINITY } else { (i % 7) as f32 });
    cases[5].fills[3] = Fill::Words(logits.map(f32::to_bits).collect());
    let mut ties = case((4, 33, 15, 1));
    let logit = |row: u32, column: u32| match (row, column) {
        (_, 33..) => 9.0,
        // The labels are 0, 31, 29 and 27.
        (0, 0) | (1, 31 | 32) | (2, 28 | 29) => 7.0,
        _ => (column % 7) as f32,
    };
    ties.fills[3] = Fill::Words((0..4 * 48).map(|i| f32::to_bits(logit(i / 48, i % 48))).collect());
    cases.push(ties);
    cases
}

fn case((rows, vocabulary, padding, gradient): (u32, u32, u32, u32)) -> Case {
    let label = |row: u32| if row % 5 == 4 { u32::MAX } else { row * 31 % vocabulary };
    let step = StepState { loss_weight: 0.25, ..bytemuck::Zeroable::zeroed() };
    let fills = [
        Fill::Words((0..rows).map(label).collect()),
        Fill::Words(step.words().to_vec()),
        Fill::Absent,
        Fill::Uniform(-6.0, 6.0),
        Fill::Nothing,
        Fill::Uniform(0.0, 4.0),
    ];
    Case::new(CrossEntropy { rows, vocabulary, columns: vocabulary + padding, gradient }, fills)
}

#[cfg(test)]
mod tests {
    use super::columns_of;

    #[test]
    fn columns_are_a_multiple_of_16_and_not_of_1024() {
        assert_eq!([1, 16, 70, 1023, 1024, 8192, 30522].map(columns_of), [16, 16, 80, 1040, 1040, 8208, 30528]);
    }
}
