//! Pairs of segments, of which the second follows the first or is from another document (Devlin et al., "BERT", 2019).

use crate::data::{Documents, Example, Examples, Masker, Masking, Place, Sequence, Starts};
use crate::random::{Site, Stream};
use crate::{Error, Result};
use std::sync::Arc;

/// Tokens around the segments: `[CLS] first [SEP] second [SEP]`.
const SPECIALS: usize = 3;

/// A shorter stretch of a document makes no pair.
const SHORTEST: usize = 4;

/// Tokens that are read before a segment, to find the start of a word.
const WORD: usize = 16;

/// The class of a pair whose second segment follows the first, as transformers has it, and of one whose second does not.
pub const NEXT: u32 = 0;
pub const NOT_NEXT: u32 = 1;

/// Documents are cut into stretches, and each stretch into two segments. In half of the pairs, drawn anew each epoch, a
/// segment of another document replaces the second one. Tokens of both segments are masked.
///
/// Raw text is not divided into sentences. A stretch is therefore cut at the first word start after a point drawn from its
/// middle half.
pub struct SentencePairs {
    documents: Arc<dyn Documents>,
    /// Where segments that don't follow come from.
    others: Arc<dyn Documents>,
    masker: Masker,
    length: usize,
    starts: Starts,
}

/// Tokens of one segment.
#[derive(Default)]
struct Segment {
    ids: Vec<u32>,
    word_starts: Vec<bool>,
}

impl SentencePairs {
    /// Plans pairs of `length` tokens, special tokens included. Segments that don't follow come from `others` and, if that is
    /// `documents` itself, from another document.
    ///
    /// # Errors
    /// A sequence has no room for a pair; there is no other document; the documents can't be read.
    pub fn new(
        documents: Arc<dyn Documents>,
        others: Arc<dyn Documents>,
        masker: Masker,
        length: usize,
    ) -> Result<Self> {
        if !(SPECIALS + SHORTEST..=1 << 16).contains(&length) {
            let problem = format!("{length} is not within {} to 65536, which a pair takes", SPECIALS + SHORTEST);
            return Err(Error::config("sequence_length", problem));
        }
        let mut pairs = SentencePairs { documents, others, masker, length, starts: Starts::default() };
        let (first, documents) = (pairs.from(Place::FIRST)?, pairs.documents.documents());
        pairs.starts = Starts::plan(first, documents, |place| pairs.after(place))?;
        pairs.check_others()?;
        Ok(pairs)
    }

    /// Most selected rows of a sequence: that of `[CLS]`, and the masked ones.
    pub fn selected_per_sequence(masking: &Masking, length: usize) -> usize {
        1 + masking.masked_per_sequence(length)
    }

    fn check_others(&self) -> Result<()> {
        let needed = if self.is_among_others() { 2 } else { 1 };
        let mut found = 0;
        for document in 0..self.others.documents() {
            found += usize::from(self.others.document_tokens(document)? > 0);
            if found == needed {
                return Ok(());
            }
        }
        let problem = "there is only one, and next-sentence prediction takes every other second segment from another; give more \
                       files, or make a document of each line or of what stands between blank lines";
        Err(Error::config("documents", problem))
    }

    fn is_among_others(&self) -> bool {
        Arc::ptr_eq(&self.documents, &self.others)
    }

    /// Tokens of the stretch that begins at a place.
    fn tokens(&self, place: Place) -> Result<usize> {
        Ok((self.documents.document_tokens(place.document)? - place.token).min(self.length - SPECIALS))
    }

    fn after(&self, place: Place) -> Result<Place> {
        let tokens = self.tokens(place)?;
        self.from(Place { token: place.token + tokens, ..place })
    }

    /// `place`, or the start of the next document that is long enough if too little of this one is left.
    fn from(&self, mut place: Place) -> Result<Place> {
        while place.document < self.documents.documents() && self.tokens(place)? < SHORTEST {
            place = Place { document: place.document + 1, token: 0 };
        }
        Ok(place)
    }

    /// Both segments, and the class of the pair.
    fn segments(&self, place: Place, stream: &mut Stream) -> Result<(Segment, Segment, u32)> {
        let tokens = self.tokens(place)?;
        let mut first = Segment::default();
        let range = place.token..place.token + tokens;
        self.documents.read(place.document, range, &mut first.ids, &mut first.word_starts)?;
        let drawn = tokens / 4 + stream.below((tokens / 2) as u32) as usize;
        let cut = (drawn.max(1)..tokens).find(|&at| first.word_starts[at]).unwrap_or(drawn.max(1));
        let second = Segment { ids: first.ids.split_off(cut), word_starts: first.word_starts.split_off(cut) };
        match stream.below(2) {
            NEXT => Ok((first, second, NEXT)),
            _ => Ok((first, self.other(place.document, second.ids.len(), stream)?, NOT_NEXT)),
        }
    }

    /// At most `tokens` of another document, from the start of a word.
    fn other(&self, own: usize, tokens: usize, stream: &mut Stream) -> Result<Segment> {
        let count = self.others.documents();
        let is_other = |document: usize| -> Result<bool> {
            Ok((document != own || !self.is_among_others()) && self.others.document_tokens(document)? > 0)
        };
        let mut document = stream.below(count as u32) as usize;
        while !is_other(document)? {
            document = (document + 1) % count;
        }
        let all = self.others.document_tokens(document)?;
        let tokens = tokens.min(all);
        let start = stream.below((all - tokens) as u32 + 1) as usize;
        let read = start.saturating_sub(WORD);
        let mut segment = Segment::default();
        self.others.read(document, read..start + tokens, &mut segment.ids, &mut segment.word_starts)?;
        let own = start - read;
        let word = (0..=own).rev().find(|&at| segment.word_starts[at]).unwrap_or(own);
        Ok(Segment {
            ids: segment.ids[word..word + tokens].to_vec(),
            word_starts: segment.word_starts[word..word + tokens].to_vec(),
        })
    }

    /// `[CLS] first [SEP] second [SEP]`, padded.
    fn sequence(&self, first: Segment, second: Segment) -> Sequence {
        let specials = self.masker.specials();
        let second_type = first.ids.len() + 2;
        let mut sequence = Sequence::default();
        sequence.begin_piece(specials.cls, first.ids.len() + second.ids.len() + SPECIALS);
        for segment in [first, second] {
            sequence.ids.extend(segment.ids);
            sequence.word_starts.extend(segment.word_starts);
            sequence.push_special(specials.sep);
        }
        sequence.types[second_type..].fill(1);
        sequence.pad(specials.pad, self.length);
        sequence
    }
}

impl Examples for SentencePairs {
    fn len(&self) -> usize {
        self.starts.len()
    }

    fn sequence_length(&self) -> usize {
        self.length
    }

    fn selected_per_sequence(&self) -> usize {
        Self::selected_per_sequence(self.masker.masking(), self.length)
    }

    fn pad(&self) -> u32 {
        self.masker.specials().pad
    }

    /// The row of `[CLS]` comes first.
    fn example(&self, index: usize, seed: u64, step: u64) -> Result<Example> {
        let mut stream = Stream::new(seed, Site::Pairs, step);
        let (first, second, class) = self.segments(self.starts.at(index, |place| self.after(place))?, &mut stream)?;
        Ok(self.masker.mask(self.sequence(first, second), seed, step).with_class(class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Encoded, NONE, SpecialTokens};

    const TOKENS: SpecialTokens = SpecialTokens { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

    /// Document d has the tokens 1000·d + 100, …, of which every third begins a word.
    fn documents(lengths: &[usize]) -> Arc<dyn Documents> {
        let document = |(number, &length): (usize, &usize)| Encoded {
            ids: (0..length as u32).map(|token| 1000 * number as u32 + 100 + token).collect(),
            word_starts: (0..length).map(|token| token % 3 == 0).collect(),
        };
        Arc::new(lengths.iter().enumerate().map(document).collect::<Vec<_>>())
    }

    fn pairs(documents: &Arc<dyn Documents>, others: &Arc<dyn Documents>) -> Result<SentencePairs> {
        let masking = Masking { mask: 0.0, random: 0.0, keep: 1.0, ..Default::default() };
        let masker = Masker::new(masking, TOKENS, 10_000).unwrap();
        SentencePairs::new(documents.clone(), others.clone(), masker, 32)
    }

    /// The two segments of an example.
    fn segments(example: &Example) -> (Vec<u32>, Vec<u32>) {
        let ids = &example.sequence.ids[1..example.sequence.real];
        let mut parts = ids.split(|&id| id == TOKENS.sep);
        (parts.next().unwrap().to_vec(), parts.next().unwrap().to_vec())
    }

    #[test]
    fn the_second_segment_follows_or_is_of_another_document() {
        let documents = documents(&[100, 0, 3, 77, 200]);
        let pairs = pairs(&documents, &documents).unwrap();
        // Stretches have 29 tokens. What is left of 100 makes one of 13, and three tokens make none.
        assert_eq!(pairs.len(), 4 + 3 + 7);
        let mut followed = 0;
        for step in 0..40 {
            for index in 0..pairs.len() {
                let example = pairs.example(index, 7, step * pairs.len() as u64 + index as u64).unwrap();
                let (first, second) = segments(&example);
                let follows = second[0] == first[first.len() - 1] + 1;
                assert_eq!(example.class, Some(if follows { NEXT } else { NOT_NEXT }));
                assert_eq!(second[0] / 1000 == first[0] / 1000, follows, "{first:?} {second:?}");
                assert!(first.windows(2).chain(second.windows(2)).all(|pair| pair[1] == pair[0] + 1));
                assert!((second[0] - 100) % 1000 % 3 == 0, "{second:?} begins within a word");
                followed += usize::from(follows);
            }
        }
        let share = followed as f64 / (40 * pairs.len()) as f64;
        assert!((share - 0.5).abs() < 0.1, "{share} of the pairs follow");
    }

    #[test]
    fn an_example_is_laid_out_as_bert_has_it() {
        let (own, others) = (documents(&[13]), documents(&[0, 50]));
        let pairs = pairs(&own, &others).unwrap();
        let example = pairs.example(0, 1, 3).unwrap();
        let sequence = &example.sequence;
        let (first, second) = segments(&example);
        assert_eq!((sequence.real, sequence.ids.len()), (first.len() + second.len() + 3, 32));
        let second_type = first.len() + 2..sequence.real;
        for at in 0..32 {
            assert_eq!(sequence.types[at], u32::from(second_type.contains(&at)), "at {at}");
            let (span, position) = match at < sequence.real {
                true => ([0, sequence.real as u32], at as u32),
                false => ([at as u32, at as u32 + 1], 0),
            };
            assert_eq!((sequence.spans[at], sequence.positions[at]), (span, position), "at {at}");
        }
        assert_eq!((example.selected[0], example.labels[0]), (0, NONE));
        assert!(example.selected.len() <= pairs.selected_per_sequence() && example.selected.len() > 1);
        assert!(example.labels[1..].iter().all(|&label| label >= 100));
        assert_eq!(example, pairs.example(0, 1, 3).unwrap());
        let drawn = |step| pairs.example(0, 1, step).unwrap();
        assert!(
            (0..20).any(|step| drawn(step).class == Some(NEXT))
                && (0..20).any(|step| drawn(step).class == Some(NOT_NEXT))
        );
    }

    #[test]
    fn one_document_makes_no_pairs_by_itself() {
        let one = documents(&[90, 0]);
        assert!(pairs(&one, &one).err().unwrap().to_string().contains("there is only one"));
        assert!(pairs(&one, &documents(&[50])).is_ok());
        assert!(pairs(&documents(&[3]), &one).unwrap().is_empty());
    }
}
