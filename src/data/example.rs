//! The training examples of a task.

use super::batch::NONE;
use super::packing::Sequence;
use crate::Result;

/// A sequence, the rows of it that a task selects, and what they should predict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    pub sequence: Sequence,
    /// Positions of the selected rows, ascending.
    pub selected: Vec<u32>,
    /// The token that each of `selected` should predict, or [`super::NONE`].
    pub labels: Vec<u32>,
    /// The class of the whole sequence, which the first row of `selected` should predict; `None` without one.
    pub class: Option<u32>,
}

impl Example {
    /// An example of one document: `ids` are its tokens after masking, and the rows `selected`, ascending, should predict
    /// `labels`.
    pub fn new(ids: Vec<u32>, selected: Vec<u32>, labels: Vec<u32>) -> Self {
        Example { sequence: Sequence::document(ids), selected, labels, class: None }
    }

    /// With a class, which the row of the first token should give.
    pub fn with_class(mut self, class: u32) -> Self {
        self.selected.insert(0, 0);
        self.labels.insert(0, NONE);
        Example { class: Some(class), ..self }
    }

    /// A sequence of `length` pad tokens, with nothing to predict.
    pub fn padding(pad: u32, length: usize) -> Self {
        Example { sequence: Sequence::empty(pad, length), ..Default::default() }
    }
}

/// The examples that a task is trained or evaluated on.
pub trait Examples: Send + Sync {
    /// Sequences per epoch.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens per sequence.
    fn sequence_length(&self) -> usize;

    /// Most rows that are selected of one sequence.
    fn selected_per_sequence(&self) -> usize;

    /// The id that sequences are padded with.
    fn pad(&self) -> u32;

    /// Sequence `index`. Its randomness depends on `seed` and on `step`, which differs from epoch to epoch.
    ///
    /// # Errors
    /// The documents can't be read.
    ///
    /// # Panics
    /// If there is no such sequence.
    fn example(&self, index: usize, seed: u64, step: u64) -> Result<Example>;
}

/// The numbers of all `count` sequences, or of `limit` (at least one) that are spread evenly over them.
pub fn evenly_spread(count: usize, limit: Option<usize>) -> impl ExactSizeIterator<Item = usize> {
    let taken = limit.unwrap_or(count).max(1).min(count);
    (0..taken).map(move |place| (place as u64 * count as u64 / taken as u64) as usize)
}
