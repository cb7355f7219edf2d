//! Dropout (Srivastava et al., 2014) by counter: the mask is a function of the seed, the microbatch, the site and the
//! index, so the backward pass computes it again instead of storing it.

use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::native::row_blocks;
use super::step::{STEP_WORDS, StepState};
use crate::random::{philox, uniform};

params! {
    pub struct Dropout {
        count: u32,
        /// Probability that an element is dropped, in [0, 1).
        rate: f32,
        /// Tells the dropout layers of a model apart.
        site: u32,
    }
}

kernel! {
    /// y = x · mask / (1 − rate) (+ residual). The gradient of x is the same kernel over dy.
    pub static DROPOUT = "dropout" (p: &Dropout);
    args {
        In x: real[p.count],
        MaybeIn residual: real[p.count],
        In step: u32[STEP_WORDS],
        Out y: real[p.count],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "dropout.wgsl"] {
        "main": fold(p.count.div_ceil(4 * 256) as usize),
    }
    flops: 2 * u64::from(p.count),
    tolerance: 1e-6,
    exact: false,
    cases: || vec![case(1, 0.5, Fill::Absent), case(67, 0.1, ANY), case(4099, 0.25, Fill::Absent)],
    bench: |s| case(s.rows() * s.width, 0.1, ANY),
    twin: dropout,
}

/// Four masks: what the elements `4·block..` of a row of a site are multiplied by.
#[inline(always)]
pub(super) fn masks(step: &StepState, site: u32, row: u32, block: u32, rate: f32) -> [f32; 4] {
    let words = philox([step.seed_low, step.seed_high], [block, site, step.microbatch, row]);
    words.map(|word| if uniform(word) < rate { 0.0 } else { 1.0 / (1.0 - rate) })
}

fn dropout(p: &Dropout, views: Views) {
    let [x, residual, step, y] = views.array();
    let (x, residual, step) = (x.read::<f32>(), residual.read::<f32>(), StepState::from_words(step.read()));
    row_blocks(y.write::<f32>(), 4, |first, block| {
        for (quad, y) in (first..).zip(block.chunks_mut(4)) {
            let masks = masks(step, p.site, 0, quad as u32, p.rate);
            for ((y, x), mask) in y.iter_mut().zip(&x[4 * quad..]).zip(masks) {
                *y = x * mask;
            }
            if !residual.is_empty() {
                for (y, residual) in y.iter_mut().zip(&residual[4 * quad..]) {
                    *y += residual;
                }
            }
        }
    });
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);

fn case(count: u32, rate: f32, residual: Fill) -> Case {
    let step = Fill::Words(vec![0, 0, 17, count, 3]);
    Case::new(Dropout { count, rate, site: (1 << 16) + 5 }, [ANY, residual, step, Fill::Nothing])
}
