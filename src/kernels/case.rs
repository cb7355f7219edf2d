//! What cases are made of: the sizes for benchmarks, and the content of arguments.

use super::kernel::{Case, Fill, Kernel};
use crate::random::{Site, Stream};

/// The sizes of a microbatch in a model. Each kernel makes its benchmark case from them.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The name of the config with these sizes.
    pub name: &'static str,
    /// Sequences.
    pub batch: u32,
    /// Tokens per sequence.
    pub sequence: u32,
    pub width: u32,
    pub heads: u32,
    /// Width inside the feed-forward layer.
    pub inner: u32,
    pub vocabulary: u32,
    /// Masked rows.
    pub masked: u32,
}

/// A small model and a full-sized one.
pub static SIZES: [Sizes; 2] = [
    Sizes { name: "tiny", batch: 32, sequence: 128, width: 128, heads: 2, inner: 336, vocabulary: 8192, masked: 608 },
    Sizes {
        name: "bert-base",
        batch: 8,
        sequence: 128,
        width: 768,
        heads: 12,
        inner: 3072,
        vocabulary: 30522,
        masked: 152,
    },
];

impl Sizes {
    /// B·T.
    pub fn rows(&self) -> u32 {
        self.batch * self.sequence
    }

    pub fn head_dim(&self) -> u32 {
        self.width / self.heads
    }

    /// Elements of a layer's matrices, which the optimiser updates in one launch.
    pub fn weights(&self) -> u32 {
        12 * self.width * self.width
    }

    /// A token id for each row.
    pub fn ids(&self) -> Vec<u32> {
        ids(self.rows(), self.vocabulary)
    }
}

/// `count` ids below `entries`. The n-th id is drawn in proportion to 1/n, as words are in text (Zipf), so some are very
/// frequent.
pub fn ids(count: u32, entries: u32) -> Vec<u32> {
    let mut stream = Stream::new(1, Site::Order, 0);
    (0..count).map(|_| (entries as f32).powf(stream.uniform()) as u32 - 1).collect()
}

impl Case {
    /// One bit for each argument that is given.
    pub fn present(&self) -> u32 {
        let given = |fill: &Fill| !matches!(fill, Fill::Absent);
        self.fills.iter().enumerate().map(|(place, fill)| u32::from(given(fill)) << place).sum()
    }

    /// What each argument holds before the launch; empty for an absent one. Random numbers and zeros repeat after `most`
    /// elements.
    pub fn contents(&self, kernel: &Kernel, stream: &mut Stream, most: usize) -> Vec<Vec<u32>> {
        let args = kernel.args.iter().zip(&self.fills);
        args.map(|(arg, fill)| fill.words((arg.len)(&self.params).min(most), stream)).collect()
    }
}

impl Fill {
    /// `len` words of content for an argument; empty for an absent one.
    pub fn words(&self, len: usize, stream: &mut Stream) -> Vec<u32> {
        match *self {
            Fill::Absent => Vec::new(),
            Fill::Nothing => vec![0; len],
            Fill::Words(ref words) => words.clone(),
            Fill::Ids { below } => (0..len).map(|_| stream.below(below)).collect(),
            Fill::Uniform(low, high) => (0..len).map(|_| (low + (high - low) * stream.uniform()).to_bits()).collect(),
        }
    }
}
