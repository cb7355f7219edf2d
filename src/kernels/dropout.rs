//! Dropout (Srivastava et al., 2014) by counter: the mask is a function of the seed, the microbatch, the site and the
//! index, so the backward pass computes it again instead of storing it. A call of the generator, of seven rounds, gives the
//! numbers of eight elements, 16 bits each: a rate is a multiple of 1/65536, and the scale is exact for it.

use super::cpu::parallel::blocks;
use super::cpu::simd::inlined;
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::step::{STEP_WORDS, StepState};
use crate::random::philox_lanes;

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
    /// y = x · mask / (1 − rate), of the rate as [`dropping`] has it. The gradient of x is the same kernel over dy.
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

/// Blocks of eight elements whose masks are made at once.
const BLOCKS: usize = 16;

/// How many numbers of 16 bits drop an element, of 65536.
pub fn dropping(rate: f32) -> u32 {
    ((rate * 65536.0 + 0.5) as u32).min(65535)
}

/// The masks of a dropout layer in a step.
#[derive(Clone, Copy)]
pub(super) struct DropoutMasks {
    key: [u32; 2],
    microbatch: u32,
    site: u32,
    /// How many of the generator's numbers drop an element, and what those that stay are multiplied by.
    dropping: u32,
    scale: f32,
}

impl DropoutMasks {
    /// None without a `step`.
    pub fn given(step: &[u32], site: u32, rate: f32) -> Option<Self> {
        (!step.is_empty()).then(|| Self::new(StepState::from_words(step), site, rate))
    }

    pub fn new(step: &StepState, site: u32, rate: f32) -> Self {
        let dropping = dropping(rate);
        let scale = 65536.0 / (65536 - dropping) as f32;
        DropoutMasks { key: [step.seed_low, step.seed_high], microbatch: step.microbatch, site, dropping, scale }
    }

    /// Multiplies x, the elements from `first` on of a row of the site, by their masks.
    #[inline(always)]
    pub fn apply(self, row: u32, mut first: usize, mut x: &mut [f32]) {
        while !x.is_empty() {
            let masks = self.of(row, (first / 8) as u32);
            let masks = &masks.as_flattened()[first % 8..];
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
    fn of(self, row: u32, block: u32) -> [[f32; 8]; BLOCKS] {
        let mut counters = [[block; BLOCKS], [self.site; BLOCKS], [self.microbatch; BLOCKS], [row; BLOCKS]];
        for (lane, block) in counters[0].iter_mut().enumerate() {
            *block = block.wrapping_add(lane as u32);
        }
        let mask = |number| if number < self.dropping { 0.0 } else { self.scale };
        let mut masks = [[0.0; 8]; BLOCKS];
        for (i, words) in philox_lanes::<7, BLOCKS>(self.key, counters).iter().enumerate() {
            for (masks, word) in masks.iter_mut().zip(words) {
                masks[i] = mask(word & 0xffff);
                masks[i + 4] = mask(word >> 16);
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
        inlined!(|first, y| {
            y.copy_from_slice(&x[first..][..y.len()]);
            masks.apply(0, first, y);
        }),
    );
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);

fn case(count: u32, rate: f32) -> Case {
    let step = Fill::Words(vec![0, 0, 17, count, 3]);
    Case::new(Dropout { count, rate, site: (1 << 16) + 5 }, [ANY, step, Fill::Nothing])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as the rate says, of each of the eight numbers of a call; and the mean stays.
    #[test]
    fn masks_drop_by_the_rate_and_keep_the_mean() {
        let step = StepState { learning_rate: 0.0, loss_weight: 0.0, seed_low: 5, seed_high: 0, microbatch: 3 };
        for rate in [0.0, 1e-4, 0.1, 0.5, 0.9, 0.99999] {
            const CALLS: usize = 1 << 16;
            let mut x = vec![1.0f32; 8 * CALLS];
            DropoutMasks::new(&step, 1 << 16, rate).apply(0, 0, &mut x);
            let exact = f64::from(dropping(rate)) / 65536.0;
            assert!((exact - f64::from(rate)).abs() <= 1.6e-5, "{rate}");
            let deviation = (exact * (1.0 - exact) / CALLS as f64).sqrt();
            for number in 0..8 {
                let dropped = x.iter().skip(number).step_by(8).filter(|x| **x == 0.0).count() as f64 / CALLS as f64;
                assert!((dropped - exact).abs() <= 4.0 * deviation, "{rate}: {dropped} of number {number}");
            }
            let kept = x.iter().find(|x| **x != 0.0).map_or(0.0, |x| f64::from(*x));
            assert!((kept * (1.0 - exact) - 1.0).abs() < 1e-6 || exact > 0.9999, "{rate}: scaled by {kept}");
        }
    }
}
