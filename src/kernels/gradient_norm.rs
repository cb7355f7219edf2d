//! The global gradient norm, the test that it is finite, and the clip coefficient. All stay on the device, so that no step
//! waits for the host.

use super::cpu::reduce;
use super::cpu::simd::{inlined, simd};
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use rayon::prelude::*;

/// The number of partial sums of squares for each run of gradients.
pub const PARTIALS: usize = 256;

params! {
    pub struct SumSquares {
        count: u32,
    }
}

impl SumSquares {
    /// Elements per partial sum.
    fn share(&self) -> u32 {
        self.count.div_ceil(PARTIALS as u32)
    }
}

kernel! {
    /// `partials[i]` = Σ x² over the i-th share of x; infinity when any element of it is not finite.
    pub static SUM_SQUARES(SumSquaresArgs) = "sum_squares" (p: &SumSquares);
    args {
        In x: f32[p.count],
        Out partials: f32[PARTIALS],
    }
    constants {
        SHARE = p.share(),
    }
    variant "reference" = ["shared/reduce.wgsl", "sum_squares.wgsl"] { "main": [PARTIALS as u32, 1, 1], }
    variant "quads" = ["shared/reduce.wgsl", "sum_squares_quads.wgsl"] {
        fits: p.count.is_multiple_of(4),
        "main": [PARTIALS as u32, 1, 1],
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 2 * u64::from(p.count),
    tolerance: 1e-5,
    exact: true,
    cases: sum_squares_cases,
    bench: |s| sum_squares_case(s.weights()),
    twin: sum_squares,
    formula(x) -> [partials]: {
        let sum = |share: &[f64]| share.iter().map(|x| if x.is_finite() { x * x } else { f64::INFINITY }).sum();
        let sums = x.chunks(p.share() as usize).map(sum).chain(std::iter::repeat(0.0));
        [sums.take(PARTIALS).collect()]
    },
}

fn sum_squares(p: &SumSquares, views: Views) {
    let [x, partials] = views.array();
    let (x, share) = (x.read::<f32>(), p.share() as usize);
    partials.write::<f32>().par_iter_mut().enumerate().for_each(|(i, partial)| {
        let end = ((i + 1) * share).min(x.len());
        *partial = simd(inlined!(|| reduce::sum_squares(&x[(i * share).min(end)..end])));
    });
}

params! {
    pub struct GradientNorm {
        /// Number of partial sums of squares.
        count: u32,
        /// Largest norm allowed (grad_clip); 0 for no limit.
        clip: f32,
        beta1: f32,
        beta2: f32,
        /// 1 − beta1, rounded once.
        rest1: f32,
        /// 1 − beta2, rounded once.
        rest2: f32,
        /// Steps without overflow after which the loss scale doubles; 0 when losses are not scaled.
        growth_interval: u32,
    }
}

params! {
    /// The optimiser's state on the device: the `optimizer` argument. Counts are exact up to 2²⁴.
    pub struct OptimizerState {
        /// Updates made.
        applied: f32,
        /// 1 − beta1^applied.
        correction1: f32,
        /// 1 − beta2^applied.
        correction2: f32,
        /// All steps that were skipped because a gradient was not finite.
        skipped: f32,
        /// How many of them were skipped in a row until now.
        skipped_in_a_row: f32,
        /// The norm of the last step, before clipping.
        gradient_norm: f32,
        /// The factor for the last gradients; 0 when the step was skipped.
        coefficient: f32,
        /// The factor for the next step's losses, so that small gradients don't vanish in f16.
        loss_scale: f32,
        /// Steps without overflow since the scale changed.
        steps_at_scale: f32,
    }
}

/// The loss scale at the start of training in f16.
pub const FIRST_LOSS_SCALE: f32 = 65536.0;
/// The largest loss scale. Without a limit it would grow for ever if gradients vanish.
const MAX_LOSS_SCALE: f32 = 16_777_216.0;
/// Steps without overflow after which the scale doubles, as in PyTorch's GradScaler.
pub const GROWTH_INTERVAL: u32 = 2000;

/// Length of the `optimizer` argument.
pub const OPTIMIZER_WORDS: usize = std::mem::size_of::<OptimizerState>() / 4;

kernel! {
    /// Updates the optimiser's state for gradients with these partial sums of squares: the norm, the coefficient min(1, clip /
    /// (norm + 1e-6)) as in PyTorch's `clip_grad_norm_`, and Adam's bias corrections. If the norm is not finite, the step
    /// counts as skipped.
    ///
    /// With a growth interval the gradients are those of a scaled loss (Micikevicius et al., "Mixed precision training", 2018).
    /// The scale is then divided out of norm and coefficient. For the next step the scale is halved after an overflow, but
    /// never below 1, and doubled after that many steps without one.
    /// below 1, and doubled after so many steps without.
    pub static GRADIENT_NORM(GradientNormArgs) = "gradient_norm" (p: &GradientNorm);
    args {
        In partials: f32[p.count],
        InOut optimizer: f32[OPTIMIZER_WORDS],
    }
    constants {
        SCALED = p.growth_interval > 0,
        MAX_LOSS_SCALE = MAX_LOSS_SCALE as u32,
    }
    variant "reference" = ["shared/reduce.wgsl", "shared/optimizer.wgsl", "gradient_norm.wgsl"] { "main": [1, 1, 1], }
    flops: u64::from(p.count),
    tolerance: 1e-5,
    exact: false,
    cases: gradient_norm_cases,
    bench: |_| gradient_norm_case(2 * PARTIALS as u32, 1.0),
    twin: gradient_norm,
    formula(partials, optimizer) -> [optimizer]: [next_state(p, partials.iter().sum(), optimizer)],
}

/// The optimiser's state after gradients with this sum of squares, in f64.
fn next_state(p: &GradientNorm, sum: f64, state: &[f64]) -> Vec<f64> {
    let [applied, correction1, correction2, skipped, in_a_row, _, _, loss_scale, at_scale] = state else {
        panic!("the state has nine numbers");
    };
    let scale = if p.growth_interval > 0 { *loss_scale } else { 1.0 };
    let norm = sum.sqrt() / scale;
    let grows = sum.is_finite() && at_scale + 1.0 >= f64::from(p.growth_interval);
    let [next_scale, next_at_scale] = match sum.is_finite() {
        _ if p.growth_interval == 0 => [*loss_scale, *at_scale],
        false => [f64::max(loss_scale / 2.0, 1.0), 0.0],
        true if grows => [f64::min(loss_scale * 2.0, MAX_LOSS_SCALE.into()), 0.0],
        true => [*loss_scale, at_scale + 1.0],
    };
    if !sum.is_finite() {
        let counts = [skipped + 1.0, in_a_row + 1.0];
        return [&[*applied, *correction1, *correction2], &counts[..], &[norm, 0.0, next_scale, next_at_scale]]
            .concat();
    }
    let clipped = if p.clip > 0.0 { f64::min(f64::from(p.clip) / (norm + 1e-6), 1.0) } else { 1.0 };
    let correction = |correction: &f64, beta: f32, rest: f32| correction * f64::from(beta) + f64::from(rest);
    let corrections = [correction(correction1, p.beta1, p.rest1), correction(correction2, p.beta2, p.rest2)];
    [&[applied + 1.0], &corrections[..], &[*skipped, 0.0, norm, clipped / scale, next_scale, next_at_scale]].concat()
}

fn gradient_norm(p: &GradientNorm, views: Views) {
    let [partials, optimizer] = views.array();
    let state: &mut OptimizerState = &mut bytemuck::cast_slice_mut(optimizer.write::<f32>())[0];
    let sum: f32 = partials.read::<f32>().iter().sum();
    let scale = if p.growth_interval > 0 { state.loss_scale } else { 1.0 };
    state.gradient_norm = sum.sqrt() / scale;
    if p.growth_interval > 0 {
        update_scale(state, sum.is_finite(), p.growth_interval);
    }
    if !sum.is_finite() {
        state.skipped += 1.0;
        state.skipped_in_a_row += 1.0;
        state.coefficient = 0.0;
        return;
    }
    state.skipped_in_a_row = 0.0;
    let clipped = if p.clip > 0.0 { (p.clip / (state.gradient_norm + 1e-6)).min(1.0) } else { 1.0 };
    state.coefficient = clipped / scale;
    state.applied += 1.0;
    state.correction1 = state.correction1 * p.beta1 + p.rest1;
    state.correction2 = state.correction2 * p.beta2 + p.rest2;
}

fn update_scale(state: &mut OptimizerState, finite: bool, growth_interval: u32) {
    state.steps_at_scale = if finite { state.steps_at_scale + 1.0 } else { 0.0 };
    if !finite {
        state.loss_scale = (state.loss_scale / 2.0).max(1.0);
    } else if state.steps_at_scale >= growth_interval as f32 {
        state.loss_scale = (state.loss_scale * 2.0).min(MAX_LOSS_SCALE);
        state.steps_at_scale = 0.0;
    }
}

fn sum_squares_case(count: u32) -> Case {
    Case::new(SumSquares { count }, [Fill::Uniform(-4.0, 4.0), Fill::Nothing])
}

/// Cases, some with numbers that are not finite.
fn sum_squares_cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [1, 255, 257, 5000, 1300, 400_004].map(sum_squares_case).into();
    for broken in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut case = sum_squares_case(1000);
        let numbers = (0..1000).map(|i| if i % 300 == 299 { broken } else { 1.0 });
        case.fills[0] = Fill::Words(numbers.map(f32::to_bits).collect());
        cases.push(case);
    }
    cases
}

fn gradient_norm_case(count: u32, clip: f32) -> Case {
    let p = GradientNorm { count, clip, beta1: 0.9, beta2: 0.98, rest1: 0.1, rest2: 0.02, growth_interval: 0 };
    Case::new(p, [Fill::Uniform(0.0, 1.0), Fill::Uniform(0.0, 0.9)])
}

/// A case with a scaled loss whose scale has lasted `steps_at_scale` steps; its partial sums end with `last`.
fn scaled_case(loss_scale: f32, steps_at_scale: f32, last: f32) -> Case {
    let p =
        GradientNorm { count: 256, clip: 1.0, beta1: 0.9, beta2: 0.98, rest1: 0.1, rest2: 0.02, growth_interval: 100 };
    let state = OptimizerState { loss_scale, steps_at_scale, ..bytemuck::Zeroable::zeroed() };
    let partials = (0..256).map(|i| f32::to_bits(if i == 255 { last } else { 1e8 }));
    Case::new(p, [Fill::Words(partials.collect()), Fill::Words(state.words().to_vec())])
}

fn gradient_norm_cases() -> Vec<Case> {
    let infinite = {
        let mut case = gradient_norm_case(256, 1.0);
        case.fills[0] =
            Fill::Words((0..256).map(|i| f32::to_bits(if i == 200 { f32::INFINITY } else { 1.0 })).collect());
        case
    };
    vec![
        gradient_norm_case(256, 1.0),
        gradient_norm_case(512, 0.0),
        gradient_norm_case(1, 100.0),
        infinite,
        scaled_case(1024.0, 3.0, 1e8),
        scaled_case(1024.0, 99.0, 1e8),
        scaled_case(MAX_LOSS_SCALE, 99.0, 1e8),
        scaled_case(1024.0, 99.0, f32::INFINITY),
        scaled_case(1.0, 0.0, f32::INFINITY),
    ]
}
