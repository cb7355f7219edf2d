//! Philox4x32, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), with
//! ten rounds. Dropout uses seven, the fewest that pass BigCrush (their table 2), because the generator is most of its work.
//!
//! Every random number of Cloze is a pure function of (seed, step, site, index); `shaders/shared/philox.wgsl` computes the
//! same bits. There is no state to advance, so a checkpoint needs only the seed and the step.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four random words from a key and a counter, with ten rounds.
#[inline(always)]
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    philox_lanes::<10, 1>(key, counter.map(|word| [word])).map(|[word]| word)
}

/// The same for N counters side by side, in vector instructions if the caller is compiled for them.
#[inline(always)]
pub fn philox_lanes<const ROUNDS: u32, const N: usize>(
    [mut k0, mut k1]: [u32; 2],
    counters: [[u32; N]; 4],
) -> [[u32; N]; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counters;
    for _ in 0..ROUNDS {
        for lane in 0..N {
            let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c0[lane]);
            let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c2[lane]);
            (c0[lane], c1[lane]) = ((p1 >> 32) as u32 ^ c1[lane] ^ k0, p1 as u32);
            (c2[lane], c3[lane]) = ((p0 >> 32) as u32 ^ c3[lane] ^ k1, p0 as u32);
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// A 64-bit seed as two 32-bit words, low word first, as the shaders take it.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// A uniform number in [0, 1) with 24 random bits.
#[inline(always)]
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// What a random number is for. Two sites never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Site {
    /// Order of the sequences of an epoch.
    Order = 1,
    /// Which positions of a sequence are masked.
    MaskPick = 2,
    /// What a masked position is replaced by.
    MaskReplace = 3,
    /// Initial weights; the parameter's number is added to the step.
    Init = 4,
    /// How a pair of segments is cut, and where its second segment comes from.
    Pairs = 5,
    /// Dropout masks; the layer's own number is added (`Dropout as u32 + n`).
    Dropout = 1 << 16,
}

/// A stream of random words for one (seed, site, step): convenient on the host, where draws are sequential.
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    words: [u32; 4],
    used: usize,
}

impl Stream {
    /// `step` is any 64-bit number that distinguishes the draws of one site, such as an epoch or a sequence's number.
    pub fn new(seed: u64, site: Site, step: u64) -> Self {
        let [low, high] = key(step);
        Stream { key: key(seed), counter: [0, site as u32, low, high], words: [0; 4], used: 4 }
    }

    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox(self.key, self.counter);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        uniform(self.word())
    }

    /// Uniform in `0..n` without modulo bias (Lemire, "Fast random integer generation in an interval", 2019).
    pub fn below(&mut self, n: u32) -> u32 {
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.word()) * u64::from(n);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Standard normal, by the Box–Muller transform.
    pub fn normal(&mut self) -> f32 {
        let u = (f64::from(self.word()) + 1.0) / 4_294_967_296.0;
        let v = f64::from(self.word()) / 4_294_967_296.0;
        ((-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (`kat_vectors`, philox4x32-10 and -7).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0, 0], [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox([u32::MAX; 2], [u32::MAX; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        assert_eq!(
            philox([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
        let seven = |key, counter: [u32; 4]| philox_lanes::<7, 1>(key, counter.map(|word| [word])).map(|[word]| word);
        assert_eq!(seven([0, 0], [0; 4]), [0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48]);
        assert_eq!(seven([u32::MAX; 2], [u32::MAX; 4]), [0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662]);
        assert_eq!(
            seven([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]),
            [0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a]
        );
    }

    #[test]
    fn normal_has_unit_variance() {
        let mut stream = Stream::new(7, Site::Init, 0);
        let draws: Vec<f32> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / draws.len() as f32;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "mean {mean}, variance {variance}");
    }
}
