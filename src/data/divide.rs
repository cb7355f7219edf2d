//! Which documents are held out for validation.

use super::dataset::Split;
use super::tokenizer::Encoded;
use crate::Result;
use crate::random::{Site, Stream};

/// Fewer documents than this always count as few.
const FEW_DOCUMENTS: usize = 20;
/// At most this much is kept in memory until it's clear whether the documents are few.
const HELD_DOCUMENTS: usize = 1000;
const HELD_TOKENS: usize = 32 << 20;
/// The choice of documents does not depend on the training seed, so that runs can be compared.
const SEED: u64 = 0x636c_6f7a_652d_7661;

/// Takes documents one by one, and passes each on to training or validation.
///
/// Of every 1 / fraction documents in a row, one is drawn at random and held out. If there are too few documents for that,
/// the last `fraction` of each document is held out, so that every document is represented. If the documents are few, but too
/// long to be kept until that is clear, nothing is held out, and the caller has to do it.
pub(super) struct Division {
    fraction: f64,
    /// `Some` while the documents may turn out to be few.
    held: Option<Vec<Encoded>>,
    held_tokens: usize,
    /// Number of the next document.
    next: u64,
    /// Number of runs of documents that have begun.
    runs: u64,
    run_end: u64,
    picked: u64,
}

impl Division {
    /// `fraction` is above 0 and at most 0.5.
    pub fn new(fraction: f64) -> Self {
        Division { fraction, held: Some(Vec::new()), held_tokens: 0, next: 0, runs: 0, run_end: 0, picked: 0 }
    }

    pub fn push(&mut self, document: Encoded, mut out: impl FnMut(Split, Encoded) -> Result<()>) -> Result<()> {
        let Some(held) = &mut self.held else {
            return out(self.place(), document);
        };
        self.held_tokens += document.ids.len();
        held.push(document);
        let enough = ((1.0 / self.fraction).ceil() as usize).clamp(FEW_DOCUMENTS, HELD_DOCUMENTS);
        if held.len() >= enough || self.held_tokens > HELD_TOKENS {
            for document in self.held.take().into_iter().flatten() {
                out(self.place(), document)?;
            }
        }
        Ok(())
    }

    /// Must be called after the last document.
    pub fn finish(self, mut out: impl FnMut(Split, Encoded) -> Result<()>) -> Result<()> {
        for document in self.held.into_iter().flatten() {
            let (train, validation) = cut_tail(document, self.fraction);
            for (split, part) in [(Split::Train, train), (Split::Validation, validation)] {
                if !part.ids.is_empty() {
                    out(split, part)?;
                }
            }
        }
        Ok(())
    }

    fn place(&mut self) -> Split {
        if self.next == self.run_end {
            let start = self.run_end;
            self.runs += 1;
            self.run_end = (self.runs as f64 / self.fraction).round() as u64;
            let length = (self.run_end - start) as u32;
            self.picked = start + u64::from(Stream::new(SEED, Site::Order, self.runs).below(length));
        }
        self.next += 1;
        if self.next - 1 == self.picked { Split::Validation } else { Split::Train }
    }
}

/// Cuts `fraction` of all tokens off the ends of documents, at starts of words. What can't be cut off one document is cut off
/// a later one.
pub(super) struct Ends {
    fraction: f64,
    /// Tokens that should have been cut off by now, less those that were.
    owed: f64,
}

impl Ends {
    pub fn new(fraction: f64) -> Self {
        Ends { fraction, owed: 0.0 }
    }

    /// A document and its end, which may be empty.
    pub fn cut(&mut self, document: Encoded) -> (Encoded, Encoded) {
        let length = document.ids.len();
        self.owed += length as f64 * self.fraction;
        if self.owed < 1.0 {
            return split(document, length);
        }
        let at = length.saturating_sub(self.owed as usize);
        let at = (1..=at).rev().find(|&at| document.word_starts.get(at) == Some(&true)).unwrap_or(length);
        self.owed -= (length - at) as f64;
        split(document, at)
    }

    /// The end of the last document, if no other document gave one. It may begin within a word, or be the whole document.
    pub fn cut_last(&self, document: Encoded) -> (Encoded, Encoded) {
        let at = tail_start(document.ids.len(), self.fraction);
        split(document, at)
    }
}

/// Cuts about `fraction` off the end of a document, at the start of a word; a document of one word is left whole.
fn cut_tail(document: Encoded, fraction: f64) -> (Encoded, Encoded) {
    let length = document.ids.len();
    let at = tail_start(length, fraction);
    let at = (1..=at).rev().find(|&at| document.word_starts[at]).unwrap_or(length);
    split(document, at)
}

fn tail_start(length: usize, fraction: f64) -> usize {
    length - (length as f64 * fraction).ceil() as usize
}

fn split(mut document: Encoded, at: usize) -> (Encoded, Encoded) {
    let tail = Encoded { ids: document.ids.split_off(at), word_starts: document.word_starts.split_off(at) };
    (document, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(documents: usize, length: usize, fraction: f64) -> [Vec<Encoded>; 2] {
        let mut parts = [Vec::new(), Vec::new()];
        let mut out = |split: Split, document| {
            parts[split as usize].push(document);
            Ok(())
        };
        let mut division = Division::new(fraction);
        for number in 0..documents {
            let document = Encoded { ids: vec![number as u32; length], word_starts: vec![true; length] };
            division.push(document, &mut out).unwrap();
        }
        division.finish(&mut out).unwrap();
        parts
    }

    #[test]
    fn many_documents_are_divided_whole() {
        for (documents, fraction, expected) in [(1000, 0.01, 10), (100, 0.01, 1), (30, 0.1, 3), (1000, 0.3, 300)] {
            let [train, validation] = divide(documents, 7, fraction);
            assert_eq!((train.len(), validation.len()), (documents - expected, expected));
            let mut numbers: Vec<u32> = train.iter().chain(&validation).map(|document| document.ids[0]).collect();
            numbers.sort();
            assert!(numbers.into_iter().eq(0..documents as u32));
        }
    }

    #[test]
    fn few_documents_lose_their_tails() {
        let [train, validation] = divide(19, 200, 0.01);
        assert!(train.len() == 19 && train.iter().all(|document| document.ids.len() == 198));
        assert!(validation.len() == 19 && validation.iter().all(|document| document.ids.len() == 2));
    }

    #[test]
    fn a_tail_begins_with_a_word_and_leaves_one() {
        let document =
            |word_starts: &[bool]| Encoded { ids: vec![9; word_starts.len()], word_starts: word_starts.into() };
        let (head, tail) = cut_tail(document(&[true, false, true, false, false]), 0.2);
        assert_eq!((head.ids.len(), tail.ids.len()), (2, 3));
        let (head, tail) = cut_tail(document(&[true, false, false]), 0.4);
        assert_eq!((head.ids.len(), tail.ids.len()), (3, 0));
        let (head, tail) = cut_tail(document(&[true]), 0.5);
        assert_eq!((head.ids.len(), tail.ids.len()), (1, 0));
    }
}
