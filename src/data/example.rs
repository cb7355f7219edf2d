//! A sequence as a task wants it, and where a task's sequences come from.

use super::packing::Sequence;
use crate::Result;

/// A sequence, the rows of it that a task wants, and what they should give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    pub sequence: Sequence,
    /// Positions whose rows the task wants, ascending.
    pub selected: Vec<u32>,
    /// For each of `selected` the token that it should give, or [`super::NONE`].
    pub labels: Vec<u32>,
    /// The class of the sequence as a whole, which the first row of `selected` should give; `None` without one.
    pub class: Option<u32>,
}

impl Example {
    /// One document of `ids` as the model sees them, where the rows `selected`, ascending, should give `labels`.
    pub fn new(ids: Vec<u32>, selected: Vec<u32>, labels: Vec<u32>) -> Self {
        Example { sequence: Sequence::document(ids), selected, labels, class: None }
    }

    /// A sequence of `length` pad tokens, of which nothing is wanted.
    pub fn padding(pad: u32, length: usize) -> Self {
        Example { sequence: Sequence::empty(pad, length), ..Default::default() }
    }
}

/// The sequences that a task learns from, or is measured on.
pub trait Examples: Send + Sync {
    /// Sequences an epoch.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens a sequence.
    fn sequence_length(&self) -> usize;

    /// Most rows that are selected of a sequence.
    fn selected_per_sequence(&self) -> usize;

    /// The id that fills sequences up.
    fn pad(&self) -> u32;

    /// Sequence `index`. What is random about it is a function of `seed` and `step`, which is another each epoch.
    ///
    /// # Errors
    /// The documents can't be read.
    ///
    /// # Panics
    /// If there is no such sequence.
    fn example(&self, index: usize, seed: u64, step: u64) -> Result<Example>;
}

/// The numbers of all of `count` sequences, or of `limit` (at least one) that are evenly spread over them.
pub fn evenly_spread(count: usize, limit: Option<usize>) -> impl ExactSizeIterator<Item = usize> {
    let taken = limit.unwrap_or(count).max(1).min(count);
    (0..taken).map(move |place| (place as u64 * count as u64 / taken as u64) as usize)
}
