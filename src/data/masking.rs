//! Which tokens are masked, and what replaces them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::example::{Example, Examples};
use super::packing::{Packing, Sequence};
use super::special::SpecialTokens;
use crate::random::{Site, Stream};
use crate::settings::require;
use crate::{Error, Result};

/// Which tokens the model must predict, and what replaces them: the section `[masking]` of a config.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masking {
    /// Share of tokens that the model must predict, above 0 and at most 0.9. Default in training 0.25.
    pub rate: f64,
    /// Share of these that are replaced by the mask token. Default 0.8.
    pub mask: f64,
    /// Share of these that are replaced by a random token. Default 0.1.
    pub random: f64,
    /// Share of these that stay as they are. Default 0.1. `mask`, `random` and `keep` sum to 1.
    pub keep: f64,
    /// Whole-word masking: whether all tokens of a word are masked together. Default false.
    pub whole_word: bool,
}

impl Default for Masking {
    /// BERT's masking.
    fn default() -> Self {
        Masking { rate: 0.15, mask: 0.8, random: 0.1, keep: 0.1, whole_word: false }
    }
}

impl Masking {
    /// The most tokens that are masked in a sequence of `length`: the `k` of a batch.
    pub fn masked_per_sequence(&self, length: usize) -> usize {
        // The rate is rounded to f32, the precision that tokens are drawn in.
        ((f64::from(self.rate as f32) * length as f64).round() as usize).max(1)
    }

    /// # Errors
    /// A share is impossible; the error names its key.
    pub fn check(&self) -> Result<()> {
        check_mask_rate("masking.rate", self.rate)?;
        for (key, share) in [("masking.mask", self.mask), ("masking.random", self.random), ("masking.keep", self.keep)]
        {
            require((0.0..=1.0).contains(&share), key, || format!("is {share}; it must be at least 0 and at most 1"))?;
        }
        let sum = self.mask + self.random + self.keep;
        require((sum - 1.0).abs() < 1e-6, "masking", || format!("mask + random + keep is {sum}; it must be 1"))
    }
}

/// Refuses a masking rate, the value of `key`, that a model can't learn from.
///
/// # Errors
/// It is not above 0 and at most 0.9.
pub fn check_mask_rate(key: &str, rate: f64) -> Result<()> {
    require(rate > 0.0 && rate <= 0.9, key, || format!("is {rate}; it must be above 0 and at most 0.9"))
}

/// Applies a `Masking` for a vocabulary.
#[derive(Clone, Copy, Debug)]
pub struct Masker {
    masking: Masking,
    specials: SpecialTokens,
    vocab_size: u32,
}

impl Masker {
    /// # Errors
    /// As [`Masking::check`]; the vocabulary has only special tokens.
    pub fn new(masking: Masking, specials: SpecialTokens, vocab_size: usize) -> Result<Self> {
        masking.check()?;
        let vocab_size = u32::try_from(vocab_size).ok().filter(|size| *size as usize > specials.ids().len());
        let vocab_size = vocab_size
            .ok_or_else(|| Error::config("vocab_size", "too small or too large to draw random tokens from"))?;
        Ok(Masker { masking, specials, vocab_size })
    }

    pub fn masking(&self) -> &Masking {
        &self.masking
    }

    pub fn specials(&self) -> SpecialTokens {
        self.specials
    }

    pub fn vocab_size(&self) -> usize {
        self.vocab_size as usize
    }

    /// Chooses exactly round(rate · real) tokens (at least one, but no more than there are tokens that aren't special) and
    /// replaces them. The result is a pure function of the sequence, `seed` and `step`.
    pub fn mask(&self, mut sequence: Sequence, seed: u64, step: u64) -> Example {
        let mut stream = Stream::new(seed, Site::MaskPick, step);
        let mut selected = match self.masking.whole_word {
            true => {
                let words = sequence.words(&self.specials);
                let count = self.count(&sequence, words.iter().map(Range::len).sum());
                pick_words(words, count, &mut stream)
            }
            false => {
                let positions: Vec<u32> = self.maskable(&sequence).collect();
                let count = self.count(&sequence, positions.len());
                pick_positions(positions, count, &mut stream)
            }
        };
        selected.sort_unstable();
        let labels = selected.iter().map(|position| sequence.ids[*position as usize]).collect();
        let mut stream = Stream::new(seed, Site::MaskReplace, step);
        for position in &selected {
            self.replace(&mut sequence.ids[*position as usize], &mut stream);
        }
        Example { sequence, selected, labels, class: None }
    }

    /// How many of the `maskable` tokens to choose.
    fn count(&self, sequence: &Sequence, maskable: usize) -> usize {
        self.masking.masked_per_sequence(sequence.real).min(maskable)
    }

    fn maskable(&self, sequence: &Sequence) -> impl Iterator<Item = u32> {
        let positions = sequence.ids[..sequence.real].iter().zip(0..);
        positions.filter(|(id, _)| !self.specials.contains(**id)).map(|(_, position)| position)
    }

    fn replace(&self, id: &mut u32, stream: &mut Stream) {
        let (draw, mask, random) = (stream.uniform(), self.masking.mask as f32, self.masking.random as f32);
        if draw < mask {
            *id = self.specials.mask;
        } else if draw < mask + random {
            *id = loop {
                let random = stream.below(self.vocab_size);
                if !self.specials.contains(random) {
                    break random;
                }
            };
        }
    }
}

/// The sequences of a packing, masked anew each epoch.
pub struct MaskedSequences {
    pub packing: Packing,
    pub masker: Masker,
}

impl Examples for MaskedSequences {
    fn len(&self) -> usize {
        self.packing.len()
    }

    fn sequence_length(&self) -> usize {
        self.packing.sequence_length()
    }

    fn selected_per_sequence(&self) -> usize {
        self.masker.masking.masked_per_sequence(self.packing.sequence_length())
    }

    fn pad(&self) -> u32 {
        self.packing.specials().pad
    }

    fn example(&self, index: usize, seed: u64, step: u64) -> Result<Example> {
        let mut sequence = Sequence::default();
        self.packing.sequence(index, &mut sequence)?;
        Ok(self.masker.mask(sequence, seed, step))
    }
}

/// Draws `count` of the positions uniformly, without replacement.
fn pick_positions(mut positions: Vec<u32>, count: usize, stream: &mut Stream) -> Vec<u32> {
    for index in 0..count {
        let other = index + stream.below((positions.len() - index) as u32) as usize;
        positions.swap(index, other);
    }
    positions.truncate(count);
    positions
}

/// Draws `count` positions: whole words in random order as long as they fit, then the start of the first word that did not
/// fit.
fn pick_words(mut words: Vec<Range<u32>>, count: usize, stream: &mut Stream) -> Vec<u32> {
    let mut selected = Vec::with_capacity(count);
    let mut skipped = None;
    for index in 0..words.len() {
        let other = index + stream.below((words.len() - index) as u32) as usize;
        words.swap(index, other);
        let word = words[index].clone();
        match word.len() <= count - selected.len() {
            true => selected.extend(word),
            false => skipped = skipped.or(Some(word)),
        }
        if selected.len() == count {
            return selected;
        }
    }
    let left = count - selected.len();
    selected.extend(skipped.into_iter().flatten().take(left));
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIALS: SpecialTokens = SpecialTokens { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
    const VOCABULARY: usize = 1000;

    fn masker(whole_word: bool) -> Masker {
        Masker::new(Masking { whole_word, ..Masking::default() }, SPECIALS, VOCABULARY).unwrap()
    }

    /// One piece of `real` tokens with a word start where `word` says so, padded to `length`.
    fn sequence(real: usize, length: usize, word: impl Fn(usize) -> bool) -> Sequence {
        let id = |at| match at {
            0 => SPECIALS.cls,
            at if at == real - 1 => SPECIALS.sep,
            at if at < real => 10 + at as u32,
            _ => SPECIALS.pad,
        };
        Sequence {
            ids: (0..length).map(id).collect(),
            word_starts: (0..length).map(word).collect(),
            spans: (0..length as u32)
                .map(|at| if at < real as u32 { [0, real as u32] } else { [at, at + 1] })
                .collect(),
            positions: (0..length as u32).collect(),
            types: vec![0; length],
            real,
        }
    }

    #[test]
    fn the_number_is_exact() {
        for (real, length, expected) in [(128, 128, 19), (100, 128, 15), (3, 128, 1), (20, 20, 3)] {
            for whole_word in [false, true] {
                for step in 0..50 {
                    let masked = masker(whole_word).mask(sequence(real, length, |at| at % 7 == 0), 1, step);
                    assert_eq!((masked.selected.len(), masked.labels.len()), (expected, expected));
                    assert!(masked.selected.windows(2).all(|pair| pair[0] < pair[1]));
                }
            }
        }
        let all = Masker::new(Masking { rate: 0.9, ..Masking::default() }, SPECIALS, VOCABULARY).unwrap();
        assert_eq!(all.mask(sequence(11, 16, |_| true), 1, 0).selected, (1..10).collect::<Vec<_>>());
        assert!(all.mask(Sequence::empty(SPECIALS.pad, 16), 1, 0).selected.is_empty());
    }

    #[test]
    fn eight_one_one_and_every_place_alike() {
        let [mut masks, mut same, mut random] = [0.0; 3];
        let mut places = [0.0; 64];
        for step in 0..10_000 {
            let original = sequence(64, 64, |_| true);
            let masked = masker(false).mask(original.clone(), 5, step);
            for (at, (before, after)) in original.ids.iter().zip(&masked.sequence.ids).enumerate() {
                let label =
                    masked.selected.iter().position(|place| *place as usize == at).map(|index| masked.labels[index]);
                match label {
                    None => assert_eq!(before, after),
                    Some(label) => {
                        assert_eq!(label, *before);
                        places[at] += 1.0;
                        match *after {
                            after if after == SPECIALS.mask => masks += 1.0,
                            after if after == *before => same += 1.0,
                            after => {
                                assert!(!SPECIALS.contains(after) && (after as usize) < VOCABULARY);
                                random += 1.0;
                            }
                        }
                    }
                }
            }
        }
        // 100 000 draws: a standard deviation is about 0.0013 for the 80 % and 0.001 for the 10 %.
        let total = masks + same + random;
        assert_eq!(total, 100_000.0);
        assert!((masks / total - 0.8_f64).abs() < 0.006, "{}", masks / total);
        assert!((random / total - 0.1_f64).abs() < 0.005, "{}", random / total);
        assert_eq!((places[0], places[63]), (0.0, 0.0));
        // Each of 62 places expects 1613 with a standard deviation of 37.
        assert!(places[1..63].iter().all(|count: &f64| (count - 1612.9).abs() < 190.0), "{places:?}");
    }

    #[test]
    fn whole_words_but_for_one() {
        let starts = |at: usize| at % 3 == 1 || at % 5 == 2;
        for step in 0..200 {
            let original = sequence(90, 96, starts);
            let words = original.words(&SPECIALS);
            let masked = masker(true).mask(original, 9, step);
            let picked = |word: &&Range<u32>| masked.selected.iter().filter(|place| word.contains(place)).count();
            let cut: Vec<_> = words.iter().filter(|word| (1..word.len()).contains(&picked(word))).collect();
            assert!(cut.len() <= 1, "{cut:?} of {:?}", masked.selected);
            assert!(cut.iter().all(|word| masked.selected.contains(&word.start)));
        }
    }

    #[test]
    fn pure_and_fresh() {
        let mask = |seed, step| masker(false).mask(sequence(64, 64, |_| true), seed, step);
        assert_eq!(mask(1, 2), mask(1, 2));
        assert_ne!(mask(1, 2).selected, mask(1, 3).selected);
        assert_ne!(mask(1, 2).selected, mask(2, 2).selected);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |masking: Masking| Masker::new(masking, SPECIALS, VOCABULARY).unwrap_err().to_string();
        assert!(refused(Masking { rate: 0.0, ..Masking::default() }).starts_with("masking.rate"));
        assert!(refused(Masking { rate: f64::NAN, ..Masking::default() }).starts_with("masking.rate"));
        assert!(refused(Masking { mask: 1.5, ..Masking::default() }).starts_with("masking.mask"));
        assert!(refused(Masking { mask: 0.95, ..Masking::default() }).starts_with("masking: mask + random + keep"));
        assert!(Masker::new(Masking::default(), SPECIALS, 5).is_err());
    }
}
