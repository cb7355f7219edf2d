//! Where the sequences of a plan begin among the documents.

use crate::Result;

/// The start of one sequence in this many is stored.
const STRIDE: usize = 16;

/// A place among the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub document: usize,
    pub token: usize,
}

impl Place {
    /// The start of the first document.
    pub const FIRST: Place = Place { document: 0, token: 0 };
}

/// Where sequences begin that follow from each other: every sixteenth start is stored, and the others are found from there.
#[derive(Default)]
pub struct Starts {
    sequences: usize,
    stored: Vec<Place>,
}

impl Starts {
    /// All sequences from `place` to the end of `documents` documents. `next` says where the sequence after the one at a place
    /// begins.
    ///
    /// # Errors
    /// `next` fails.
    pub fn plan(mut place: Place, documents: usize, next: impl Fn(Place) -> Result<Place>) -> Result<Self> {
        let mut starts = Starts::default();
        while place.document < documents {
            if starts.sequences.is_multiple_of(STRIDE) {
                starts.stored.push(place);
            }
            starts.sequences += 1;
            place = next(place)?;
        }
        Ok(starts)
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.sequences
    }

    /// Where sequence `index` begins, with the `next` of the plan.
    ///
    /// # Errors
    /// `next` fails.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn at(&self, index: usize, next: impl Fn(Place) -> Result<Place>) -> Result<Place> {
        assert!(index < self.sequences, "sequence {index} of {}", self.sequences);
        (0..index % STRIDE).try_fold(self.stored[index / STRIDE], |place, _| next(place))
    }
}
