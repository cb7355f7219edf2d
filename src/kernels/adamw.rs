//! AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019), as PyTorch computes it.

use super::case::Sizes;
use super::cpu::parallel::GRAIN;
use super::cpu::simd::{inlined, simd};
use super::gradient_norm::{OPTIMIZER_WORDS, OptimizerState};
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::step::{UPDATE_WORDS, UpdateState};
use rayon::prelude::*;

params! {
    pub struct AdamW {
        count: u32,
        beta1: f32,
        beta2: f32,
        /// 1 − beta1, rounded once.
        rest1: f32,
        /// 1 − beta2, rounded once.
        rest2: f32,
        epsilon: f32,
        weight_decay: f32,
    }
}

kernel! {
    /// Updates the parameters once from the gradients, and clears the gradients for the next step. If `optimizer.coefficient`
    /// is 0, the step is skipped and only the clearing happens. `copy` gets the parameters in the form that the model's
    /// products use.
    pub static ADAMW(AdamWArgs) = "adamw" (p: &AdamW);
    args {
        In update: f32[UPDATE_WORDS],
        In optimizer: f32[OPTIMIZER_WORDS],
        InOut parameters: f32[p.count],
        InOut gradients: f32[p.count],
        InOut first_moments: f32[p.count],
        InOut second_moments: f32[p.count],
        MaybeOut copy: real[p.count],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/update.wgsl", "shared/optimizer.wgsl", "shared/scalars.wgsl", "adamw.wgsl"
    ] {
        "main": fold(p.count.div_ceil(256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/update.wgsl", "shared/optimizer.wgsl", "shared/quads.wgsl", "adamw.wgsl"
    ] {
        fits: p.count.is_multiple_of(4),
        "main": fold(p.count.div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 14 * u64::from(p.count),
    tolerance: 1e-5,
    exact: false,
    cases: cases,
    bench: bench,
    twin: adamw,
    formula(update, optimizer, parameters, gradients, first_moments, second_moments)
        -> [parameters, gradients, first_moments, second_moments, copy]: {
        let state = OptimizerState::from_words(&optimizer.words);
        let [x, m, v] = updated(p, update[0], state, [parameters, gradients, first_moments, second_moments]);
        [x.clone(), vec![0.0; x.len()], m, v, x]
    },
}

/// The parameters and both moments after a step at a learning rate, in f64.
fn updated(p: &AdamW, rate: f64, state: &OptimizerState, [x, g, m, v]: [&[f64]; 4]) -> [Vec<f64>; 3] {
    if state.coefficient == 0.0 {
        return [x, m, v].map(<[f64]>::to_vec);
    }
    let [beta1, beta2, rest1, rest2, epsilon, decay] =
        [p.beta1, p.beta2, p.rest1, p.rest2, p.epsilon, p.weight_decay].map(f64::from);
    let [correction1, correction2, coefficient] =
        [state.correction1, state.correction2, state.coefficient].map(f64::from);
    let average = |m: &[f64], beta: f64, rest: f64, power: i32| -> Vec<f64> {
        m.iter().zip(g).map(|(m, g)| beta * m + rest * (g * coefficient).powi(power)).collect()
    };
    let (m, v) = (average(m, beta1, rest1, 1), average(v, beta2, rest2, 2));
    let ratio = m.iter().zip(&v).map(|(m, v)| m / correction1 / ((v / correction2).sqrt() + epsilon));
    let x = x.iter().zip(ratio).map(|(x, ratio)| x - rate * decay * x - rate * ratio).collect();
    [x, m, v]
}

fn adamw(p: &AdamW, views: Views) {
    let [update, optimizer, parameters, gradients, first, second, copy] = views.array();
    let (update, state) = (UpdateState::from_words(update.read()), OptimizerState::from_words(optimizer.read()));
    let (parameters, gradients, copy) = (parameters.write::<f32>(), gradients.write::<f32>(), copy.write::<f32>());
    match state.coefficient {
        0.0 => gradients.fill(0.0),
        _ => apply(p, update, state, parameters, gradients, [first.write(), second.write()]),
    }
    if !copy.is_empty() {
        copy.copy_from_slice(parameters);
    }
}

fn apply(
    p: &AdamW,
    &UpdateState { learning_rate }: &UpdateState,
    state: &OptimizerState,
    parameters: &mut [f32],
    gradients: &mut [f32],
    [first, second]: [&mut [f32]; 2],
) {
    let keep = 1.0 - learning_rate * p.weight_decay;
    let rate = learning_rate / state.correction1;
    let root = state.correction2.sqrt();
    let moments = first.par_chunks_mut(GRAIN).zip(second.par_chunks_mut(GRAIN));
    let weights = parameters.par_chunks_mut(GRAIN).zip(gradients.par_chunks_mut(GRAIN));
    weights.zip(moments).for_each(|((parameters, gradients), (first, second))| {
        simd(inlined!(|| {
            for (((x, g), m), v) in parameters.iter_mut().zip(gradients).zip(first).zip(second) {
                let gradient = *g * state.coefficient;
                *m = p.beta1 * *m + p.rest1 * gradient;
                *v = p.beta2 * *v + p.rest2 * gradient * gradient;
                *x = *x * keep - rate * *m / (v.sqrt() / root + p.epsilon);
                *g = 0.0;
            }
        }))
    });
}

fn cases() -> Vec<Case> {
    [(1, 1.0), (255, 0.5), (1025, 0.0), (513, 0.25), (77, 0.0), (252, 0.5), (1028, 0.25), (1284, 0.0)]
        .map(|(count, coefficient)| {
            let p =
                AdamW { count, beta1: 0.9, beta2: 0.98, rest1: 0.1, rest2: 0.02, epsilon: 1e-6, weight_decay: 0.01 };
            case(
                p,
                coefficient,
                if count % 256 == 1 || count % 256 == 4 || count == 77 { Fill::Nothing } else { Fill::Absent },
            )
        })
        .into()
}

/// Moments that don't decay: the first run clears the gradients, and later runs would otherwise time denormal numbers.
fn bench(sizes: &Sizes) -> Case {
    let count = sizes.weights();
    case(
        AdamW { count, beta1: 1.0, beta2: 1.0, rest1: 0.1, rest2: 0.02, epsilon: 1e-6, weight_decay: 0.01 },
        1.0,
        Fill::Absent,
    )
}

fn case(p: AdamW, coefficient: f32, copy: Fill) -> Case {
    let any = Fill::Uniform(-1.0, 1.0);
    let update = UpdateState { learning_rate: 0.01 };
    let state = OptimizerState {
        applied: 1.0,
        correction1: 0.1,
        correction2: 0.02,
        skipped: 0.0,
        skipped_in_a_row: 0.0,
        gradient_norm: 2.0,
        coefficient,
        loss_scale: 0.0,
        steps_at_scale: 0.0,
    };
    let (update, state) = (Fill::Words(update.words().to_vec()), Fill::Words(state.words().to_vec()));
    Case::new(p, [update, state, any.clone(), any.clone(), any, Fill::Uniform(0.0, 1.0), copy])
}
