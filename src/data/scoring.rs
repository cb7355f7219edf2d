//! The masks of a pseudo-log-likelihood: every token of a text is predicted once, from all other tokens except the rest of
//! its word.
//!
//! This is PLL-word-l2r (Kauf and Ivanova, "A Better Way to Do Masked Language Model Scoring", 2023). If only the token
//! itself were masked, the rest of its word would give it away, and rare words of many tokens would look likely.

use super::batch::Batch;
use super::example::{Example, evenly_spread};
use super::packing::{Packing, Sequence};
use super::special::SpecialTokens;
use crate::Result;
use std::ops::Range;

/// The sequences of a packing that are scored.
pub struct Scoring<'a> {
    packing: &'a Packing,
    sequences: Vec<usize>,
    /// Most documents in one sequence.
    documents: usize,
    /// Number of words scored. Special tokens, including the unknown token, are not scored.
    pub words: u64,
    /// Number of masked sequences that this takes.
    pub rows: usize,
}

impl<'a> Scoring<'a> {
    /// Scores all sequences, or `limit` that are spread evenly over the data.
    ///
    /// # Errors
    /// The documents can't be read.
    pub fn new(packing: &'a Packing, limit: Option<usize>) -> Result<Self> {
        let mut scoring = Scoring {
            packing,
            sequences: evenly_spread(packing.len(), limit).collect(),
            documents: 1,
            words: 0,
            rows: 0,
        };
        for &index in &scoring.sequences {
            let documents = documents(&sequence(packing, index)?, &packing.specials());
            scoring.words += documents.iter().map(|words| words.len() as u64).sum::<u64>();
            scoring.rows += documents.iter().map(|words| tokens(words)).max().unwrap_or(0);
            scoring.documents = scoring.documents.max(documents.len());
        }
        Ok(scoring)
    }

    /// Most tokens to predict in a masked sequence: the `k` of a batch.
    pub fn masked_per_sequence(&self) -> usize {
        self.documents
    }

    /// Microbatches of `batch` masked sequences; the last is padded. A microbatch is an error if its documents can't be read.
    pub fn batches(&self, batch: usize) -> impl Iterator<Item = Result<Batch>> {
        let (packing, specials) = (self.packing, self.packing.specials());
        let rows = move |&index: &usize| match sequence(packing, index) {
            Ok(sequence) => masked(&sequence, &specials).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let mut rows = self.sequences.iter().flat_map(rows);
        let padding = Example::padding(specials.pad, packing.sequence_length());
        std::iter::from_fn(move || {
            let mut group: Vec<Example> = match rows.by_ref().take(batch).collect() {
                Ok(group) => group,
                Err(error) => return Some(Err(error)),
            };
            (!group.is_empty()).then(|| {
                group.resize(batch, padding.clone());
                Ok(Batch::new(&group, self.documents))
            })
        })
    }
}

fn sequence(packing: &Packing, index: usize) -> Result<Sequence> {
    let mut sequence = Sequence::default();
    packing.sequence(index, &mut sequence)?;
    Ok(sequence)
}

/// The words of each document of a sequence.
fn documents(sequence: &Sequence, specials: &SpecialTokens) -> Vec<Vec<Range<u32>>> {
    let document = |word: &Range<u32>| sequence.spans[word.start as usize];
    let words = sequence.words(specials);
    words.chunk_by(|a, b| document(a) == document(b)).map(<[_]>::to_vec).collect()
}

fn tokens(words: &[Range<u32>]) -> usize {
    words.iter().map(ExactSizeIterator::len).sum()
}

/// In the n-th copy of a sequence, the n-th token of each of its documents is masked, with what follows in its word. The
/// documents don't attend to each other, so each is scored as if it were alone.
fn masked(sequence: &Sequence, specials: &SpecialTokens) -> Vec<Example> {
    let mut rows: Vec<Example> = Vec::new();
    for words in documents(sequence, specials) {
        let tokens = words.into_iter().flat_map(|word| word.clone().map(move |token| token..word.end));
        for (number, hidden) in tokens.enumerate() {
            if number == rows.len() {
                rows.push(Example { sequence: sequence.clone(), ..Default::default() });
            }
            let row = &mut rows[number];
            row.selected.push(hidden.start);
            row.labels.push(sequence.ids[hidden.start as usize]);
            row.sequence.ids[hidden.start as usize..hidden.end as usize].fill(specials.mask);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batch::NONE;
    use crate::data::tokenizer::Encoded;
    use std::sync::Arc;

    const SPECIALS: SpecialTokens = SpecialTokens { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

    #[test]
    fn two_documents_in_full() {
        let first = Encoded { ids: vec![10, 11, 12], word_starts: vec![true, false, false] };
        let second = Encoded { ids: vec![20, 1, 21], word_starts: vec![true, true, false] };
        let packing = Packing::whole(Arc::new(vec![first, second]), SPECIALS, 24).unwrap();
        let scoring = Scoring::new(&packing, None).unwrap();
        // The token after the unknown one is the rest of a word, which counts as a word.
        assert_eq!((scoring.words, scoring.rows, scoring.masked_per_sequence()), (3, 3, 2));
        let batches: Vec<Batch> = scoring.batches(2).map(Result::unwrap).collect();
        assert_eq!(batches.len(), 2);
        let ids = |batch: usize, row: usize| &batches[batch].ids[24 * row..][..10];
        assert_eq!(ids(0, 0), [2, 4, 4, 4, 3, 2, 4, 1, 21, 3]);
        assert_eq!(ids(0, 1), [2, 10, 4, 4, 3, 2, 20, 1, 4, 3]);
        assert_eq!(ids(1, 0), [2, 10, 11, 4, 3, 2, 20, 1, 21, 3]);
        assert_eq!(ids(1, 1), [0; 10]);
        assert_eq!((&batches[0].selected[..], &batches[0].labels[..]), (&[1, 6, 26, 32][..], &[10, 20, 11, 21][..]));
        assert_eq!((&batches[1].selected[..1], &batches[1].labels[..]), (&[3][..], &[12, NONE, NONE, NONE][..]));
    }

    #[test]
    fn every_token_once_and_a_part_of_them_when_limited() {
        let document = |number: u32| Encoded {
            ids: (0..number % 50).map(|token| 100 * number + 10 + token).collect(),
            word_starts: (0..number % 50).map(|token| token % 3 == 0).collect(),
        };
        let documents: Vec<Encoded> = (0..120).map(document).collect();
        let all: Vec<u32> = documents.iter().flat_map(|document| document.ids.clone()).collect();
        let packing = Packing::whole(Arc::new(documents), SPECIALS, 32).unwrap();
        let labels = |scoring: &Scoring| {
            let labels = scoring.batches(7).flat_map(|batch| batch.unwrap().labels);
            let mut labels: Vec<u32> = labels.filter(|&label| label != NONE).collect();
            labels.sort_unstable();
            labels
        };
        let scoring = Scoring::new(&packing, None).unwrap();
        assert_eq!(labels(&scoring), all);
        assert_eq!(scoring.batches(7).count(), scoring.rows.div_ceil(7));

        let part = Scoring::new(&packing, Some(5)).unwrap();
        assert_eq!(part.sequences, [0, 1, 2, 3, 4].map(|place| place * packing.len() / 5));
        assert!(labels(&part).len() < all.len() / 8 && part.words < scoring.words);
    }
}
