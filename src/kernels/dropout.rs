//! Dropout (Srivastava et al., 2014) by counter: the mask is a function of the seed, the microbatch, the site and the
//! index, so the backward pass computes it again instead of storing it.

use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::native::blocks;
use super::step::{STEP_WORDS, StepState};
use crate::random::{philox_lanes, uniform};

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
    /// y = x · mask / (1 − rate). The gradient of x is the same kernel over dy.
    pub static DROPOUT(DropoutArgs) = "dropout" (p: &Dropout);
    args {
        In x: real[p.count],
        In step: u32[STEP_WORDS],
        Out y: real[p.count],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl", "dropout.wgsl"
    ] {
        "main": fold(p.count.div_ceil(4 * 256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl", "dropout_quads.wgsl"
    ] {
        fits: p.count.is_multiple_of(4),
        "main": fold(p.count.div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 2 * u64::from(p.count),
    tolerance: 1e-6,
    exact: false,
    cases: || vec![case(1, 0.5), case(67, 0.1), case(1028, 0.1), case(4099, 0.25)],
    bench: |s| case(s.rows() * s.width, 0.1),
    twin: dropout,
}

/// Blocks of four elements whose masks are made at once.
const BLOCKS: usize = 16;

/// The masks of a dropout layer in a step.
#[derive(Clone, Copy)]
pub(super) struct DropoutMasks {
    key: [u32; 2],
    microbatch: u32,
    site: u32,
    rate: f32,
}

impl DropoutMasks {
    /// None without a `step`.
    pub fn given(step: &[u32], site: u32, rate: f32) -> Option<Self> {
        (!step.is_empty()).then(|| Self::new(StepState::from_words(step), site, rate))
    }

    pub fn new(step: &StepState, site: u32, rate: f32) -> Self {
        DropoutMasks { key: [step.seed_low, step.seed_high], microbatch: step.microbatch, site, rate }
    }

    /// Multiplies x, the elements from `first` on of a row of the site, by their masks.
    #[inline(always)]
    pub fn apply(self, row: u32, mut first: usize, mut x: &mut [f32]) {
        while !x.is_empty() {
            let masks = self.of(row, (first / 4) as u32);
            let masks = &masks.as_flattened()[first % 4..];
            let (now, rest) = x.split_at_mut(masks.len().min(x.len()));
            for (x, mask) in now.iter_mut().zip(masks) {
                *x *= mask;
            }
            first += now.len();
            x = rest;
        }
    }

    /// The masks of the blocks from `block` on.
    #[inline(always)]
    fn of(self, row: u32, block: u32) -> [[f32; 4]; BLOCKS] {
        let mut counters = [[block; BLOCKS], [self.site; BLOCKS], [self.microbatch; BLOCKS], [row; BLOCKS]];
        for (lane, block) in counters[0].iter_mut().enumerate() {
            *block = block.wrapping_add(lane as u32);
        }
        let kept = 1.0 / (1.0 - self.rate);
        let mut masks = [[0.0; 4]; BLOCKS];
        for (i, words) in philox_lanes(self.key, counters).iter().enumerate() {
            for (masks, word) in masks.iter_mut().zip(words) {
                masks[i] = if uniform(*word) < self.rate { 0.0 } else { kept };
            }
        }
        masks
    }
}

fn dropout(p: &Dropout, views: Views) {
    let [x, step, y] = views.array();
    let x = x.read::<f32>();
    let masks = DropoutMasks::new(StepState::from_words(step.read()), p.site, p.rate);
    blocks(
        y.write::<f32>(),
        #[inline(always)]
        |first, y| {
            y.copy_from_slice(&x[first..][..y.len()]);
            masks.apply(0, first, y);
        },
    );
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);

fn case(count: u32, rate: f32) -> Case {
    let step = Fill::Words(vec![0, 0, 17, count, 3]);
    Case::new(Dropout { count, rate, site: (1 << 16) + 5 }, [ANY, step, Fill::Nothing])
}
