//! Dropout (Srivastava et al., 2014) with a counter-based generator: the mask is a function of the seed, the step, the site and
//! the element's place in the step's whole batch. So the backward pass computes it again instead of storing it, and the number
//! of microbatches changes no mask. One call of the generator, with seven rounds, gives 16-bit numbers for eight elements, an
//! octet. A rate is rounded to a multiple of 1/65536, and the scale is exact for it.
//!
//! The generator's counter is (low word of the octet's number, site, step, high word of it). Activations [rows, width] are
//! numbered in one run through the whole batch, whatever their width. Attention weights have a row of octets for each query,
//! and the query's number is the high word. It wraps around at 2³² queries, which takes the most tokens that a step may have
//! and more than 128 heads.

use super::cpu::parallel::blocks;
use super::cpu::simd::inlined;
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::mathematics::dropped;
use super::step::{STEP_WORDS, StepState};
use crate::random::philox_lanes;

params! {
    pub struct Dropout {
        rows: u32,
        width: u32,
        /// Probability that an element is dropped, in [0, 1).
        rate: f32,
        /// Tells the dropout layers of a model apart.
        site: u32,
    }
}

impl Dropout {
    fn count(&self) -> u32 {
        self.rows * self.width
    }
}

kernel! {
    /// y = x · mask / (1 − rate), with the rate rounded as in [`dropping`]. The gradient of x is the same kernel applied to dy.
    pub static DROPOUT(DropoutArgs) = "dropout" (p: &Dropout);
    args {
        In x: real[p.count()],
        In step: u32[STEP_WORDS],
        Out y: real[p.count()],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/dropout_rows.wgsl", "dropout.wgsl"
    ] {
        // The first elements may start within an octet.
        "main": fold((p.count() + 7).div_ceil(4 * 256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
        "shared/dropout_rows.wgsl", "dropout_quads.wgsl"
    ] {
        fits: p.width.is_multiple_of(4),
        "main": fold(p.count().div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 2 * u64::from(p.count()),
    tolerance: 1e-6,
    exact: false,
    cases: cases,
    bench: |s| case([s.rows(), s.width, 0], 0.1),
    twin: dropout,
    formula(x, step) -> [y]: [dropped(x, p.width, &step.words, p.site, p.rate)],
}

/// Octets whose masks are computed together.
const OCTETS: usize = 16;

/// How many of the 65536 numbers drop an element.
pub fn dropping(rate: f32) -> u32 {
    ((rate * 65536.0 + 0.5) as u32).min(65535)
}

/// The masks of a dropout layer in a microbatch.
#[derive(Clone, Copy)]
pub(super) struct DropoutMasks {
    key: [u32; 2],
    step: u32,
    first_row: u32,
    site: u32,
    /// How many of the generator's numbers drop an element, and the factor for elements that are kept.
    dropping: u32,
    scale: f32,
}

impl DropoutMasks {
    /// `None` without a `step`.
    pub fn given(step: &[u32], site: u32, rate: f32) -> Option<Self> {
        (!step.is_empty()).then(|| Self::new(StepState::from_words(step), site, rate))
    }

    pub fn new(step: &StepState, site: u32, rate: f32) -> Self {
        let dropping = dropping(rate);
        let scale = 65536.0 / (65536 - dropping) as f32;
        let &StepState { seed_low, seed_high, number, first_row, .. } = step;
        DropoutMasks { key: [seed_low, seed_high], step: number, first_row, site, dropping, scale }
    }

    /// Multiplies x by its masks: x is elements `first` and on of the microbatch's activations [rows, width].
    #[inline(always)]
    pub fn apply(self, width: usize, first: usize, x: &mut [f32]) {
        let first = u64::from(self.first_row) * width as u64 + first as u64;
        self.apply_from(first / 8, (first % 8) as usize, x);
    }

    /// Multiplies x by its masks: x is the weights of a query from key `first` on. `query` is its place in the microbatch's [B,
    /// heads, T].
    #[inline(always)]
    pub fn apply_to_weights(self, heads: u32, query: u32, first: usize, x: &mut [f32]) {
        let query = self.first_row.wrapping_mul(heads).wrapping_add(query);
        self.apply_from((u64::from(query) << 32) + (first / 8) as u64, first % 8, x);
    }

    /// Multiplies x by the masks of the octets from `octet` on, except the first `skipped` masks (fewer than eight).
    #[inline(always)]
    fn apply_from(self, mut octet: u64, mut skipped: usize, mut x: &mut [f32]) {
        while !x.is_empty() {
            let masks = self.of(octet);
            let masks = &masks.as_flattened()[skipped..];
            let (now, rest) = x.split_at_mut(masks.len().min(x.len()));
            for (x, mask) in now.iter_mut().zip(masks) {
                *x *= mask;
            }
            (octet, skipped, x) = (octet + OCTETS as u64, 0, rest);
        }
    }

    /// The masks of the octets from `octet` on.
    #[inline(always)]
    fn of(self, octet: u64) -> [[f32; 8]; OCTETS] {
        let (mut low, mut high) = ([0; OCTETS], [0; OCTETS]);
        for (lane, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            let octet = octet.wrapping_add(lane as u64);
            (*low, *high) = (octet as u32, (octet >> 32) as u32);
        }
        let counters = [low, [self.site; OCTETS], [self.step; OCTETS], high];
        let mask = |number| if number < self.dropping { 0.0 } else { self.scale };
        let mut masks = [[0.0; 8]; OCTETS];
        for (i, words) in philox_lanes::<7, OCTETS>(self.key, counters).iter().enumerate() {
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
            masks.apply(p.width as usize, first, y);
        }),
    );
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);

/// Microbatches from the first row, from within a quad, from within an octet, and with octets counted beyond 32 bits.
fn cases() -> Vec<Case> {
    let shapes = [
        ([1, 1, 0], 0.5),
        ([1, 67, 0], 0.1),
        ([257, 4, 0], 0.1),
        ([4099, 1, 0], 0.25),
        ([7, 13, 5], 0.1),
        ([11, 93, 6], 0.25),
        ([63, 65, 3], 0.1),
        ([36, 28, 3], 0.1),
        ([3, 1024, (1 << 25) - 1], 0.25),
        ([1, 2049, (1 << 24) - 4], 0.25),
    ];
    shapes.map(|(shape, rate)| case(shape, rate)).into()
}

/// A case of [rows, width, first row].
fn case([rows, width, first_row]: [u32; 3], rate: f32) -> Case {
    Case::new(Dropout { rows, width, rate, site: (1 << 16) + 5 }, [ANY, step_fill(width, first_row), Fill::Nothing])
}

/// The `step` of a case; `seed` makes it differ from others.
pub(super) fn step_fill(seed: u32, first_row: u32) -> Fill {
    Fill::Words(StepState { loss_weight: 0.0, seed_low: 17, seed_high: seed, number: 3, first_row }.words().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(first_row: u32) -> StepState {
        StepState { loss_weight: 0.0, seed_low: 5, seed_high: 0, number: 3, first_row }
    }

    /// Which elements of a microbatch are kept, from `first` on.
    fn kept(first_row: u32, width: usize, first: usize, count: usize) -> Vec<bool> {
        let mut x = vec![1.0f32; count];
        DropoutMasks::new(&step(first_row), 1 << 16, 0.5).apply(width, first, &mut x);
        x.iter().map(|x| *x != 0.0).collect()
    }

    #[test]
    fn rows_have_the_masks_that_they_have_in_the_whole_batch() {
        for width in [1, 3, 7, 8, 12, 129] {
            let whole = kept(0, width, 0, 40 * width);
            for (first, rows) in [(1, 9), (5, 35), (16, 24), (39, 1)] {
                let part = kept(first, width, 0, rows as usize * width);
                assert_eq!(part, whole[first as usize * width..][..part.len()], "rows of {width} from {first} on");
            }
        }
    }

    /// In a batch with more than 2³² octets no two octets share a counter.
    #[test]
    fn octets_are_counted_beyond_32_bits() {
        const WIDTH: usize = 1024;
        let last = (1 << 25) - 1;
        assert_eq!(kept(last, WIDTH, WIDTH, 64), kept(last + 1, WIDTH, 0, 64));
        assert_ne!(kept(last + 1, WIDTH, 0, 64), kept(0, WIDTH, 0, 64));
    }

    /// The rate is met for each of the eight numbers of a call, and the mean is preserved.
    #[test]
    fn masks_drop_by_the_rate_and_keep_the_mean() {
        for rate in [0.0, 1e-4, 0.1, 0.5, 0.9, 0.99999] {
            const CALLS: usize = 1 << 16;
            let mut x = vec![1.0f32; 8 * CALLS];
            DropoutMasks::new(&step(0), 1 << 16, rate).apply(8, 0, &mut x);
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
