//! The order of an epoch: a permutation that is computed, not stored.

use crate::random::{Site, key, philox};

/// With a strong round function, even so few rounds leave no trace of the original order.
const ROUNDS: u32 = 6;

/// A permutation of `0..n` for a seed and an epoch: a Feistel network over the next power of four, walked until it
/// lands within `0..n` (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    key: [u32; 2],
    epoch: u64,
    n: u64,
    /// Bits of each half of an index.
    half: u32,
}

impl Permutation {
    /// `epoch` is below 2⁶⁰.
    pub fn new(seed: u64, epoch: u64, n: u64) -> Self {
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        Permutation { key: key(seed), epoch, n, half: bits.div_ceil(2).max(1) }
    }

    /// The element at the place `index`.
    ///
    /// # Panics
    /// If `index` is not below `n`: walking could go on forever.
    pub fn at(&self, index: u64) -> u64 {
        assert!(index < self.n, "index {index} of a permutation of {}", self.n);
        let mut element = self.encrypt(index);
        while element >= self.n {
            element = self.encrypt(element);
        }
        element
    }

    fn encrypt(&self, index: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (index >> self.half, index & mask);
        for round in 0..ROUNDS {
            let high = (self.epoch >> 32) as u32 | round << 28;
            let [word, ..] = philox(self.key, [right as u32, Site::Order as u32, self.epoch as u32, high]);
            (left, right) = (right, left ^ u64::from(word) & mask);
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_element_once(seed: u64, epoch in 0..1u64 << 60, n in 1..3000u64) {
            let permutation = Permutation::new(seed, epoch, n);
            let mut elements: Vec<u64> = (0..n).map(|index| permutation.at(index)).collect();
            elements.sort();
            prop_assert!(elements.into_iter().eq(0..n));
        }

        #[test]
        fn large_domains_stay_within(seed: u64, n in 1..=u64::MAX, index: u64) {
            prop_assert!(Permutation::new(seed, 0, n).at(index % n) < n);
        }
    }

    #[test]
    fn epochs_and_seeds_differ_and_places_are_uniform() {
        let order =
            |seed, epoch| (0..1000).map(|index| Permutation::new(seed, epoch, 1000).at(index)).collect::<Vec<_>>();
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));

        // Where element 0 of 16 lands over many epochs: 16 cells of 500 expected, 15 degrees of freedom.
        let mut counts = [0u32; 16];
        (0..8000).for_each(|epoch| counts[Permutation::new(3, epoch, 16).at(0) as usize] += 1);
        let chi2: f64 = counts.iter().map(|count| (f64::from(*count) - 500.0).powi(2) / 500.0).sum();
        assert!(chi2 < 45.0, "{counts:?}");
    }
}
