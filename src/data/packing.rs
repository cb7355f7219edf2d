//! Cuts documents, and packs them into sequences of a fixed length.

use std::ops::Range;
use std::sync::Arc;

use super::documents::Documents;
use super::special::SpecialTokens;
use super::starts::{Place, Starts};
use crate::{Error, Result};

/// If fewer places than this are left in a sequence, they are padded: a scrap of a document teaches little.
const SHORTEST: usize = 16;

/// A deterministic packing. The documents are taken in order and cut into pieces `[CLS] … [SEP]`, which fill one sequence
/// after another. A document that was cut continues in the next sequence; every token is in exactly one sequence.
pub struct Packing {
    documents: Arc<dyn Documents>,
    specials: SpecialTokens,
    length: usize,
    /// Whether a document that fits a sequence is never cut.
    whole: bool,
    starts: Starts,
}

/// `T` token ids, and what masking and attention need to know about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// `[T]`
    pub ids: Vec<u32>,
    /// `[T]` whether a word begins here; true for special tokens.
    pub word_starts: Vec<bool>,
    /// `[T]` start and end of the piece that the position lies in; padding is alone: `[i, i + 1]`.
    pub spans: Vec<[u32; 2]>,
    /// `[T]` position within the piece; 0 in padding.
    pub positions: Vec<u32>,
    /// `[T]` token types: 1 in the second text of a pair, else 0.
    pub types: Vec<u32>,
    /// Number of positions that are not padding; they come first.
    pub real: usize,
}

impl Packing {
    /// Plans sequences of `length` tokens, special tokens included.
    ///
    /// # Errors
    /// `length` is below 3, which leaves no place for a token between `[CLS]` and `[SEP]`, or above 2¹⁶; the documents can't be
    /// read.
    pub fn new(documents: Arc<dyn Documents>, specials: SpecialTokens, length: usize) -> Result<Self> {
        Self::plan(documents, specials, length, false)
    }

    /// As `new`, but only documents that are longer than a sequence are cut. The others stay whole, which leaves more
    /// padding.
    ///
    /// # Errors
    /// As `new`.
    pub fn whole(documents: Arc<dyn Documents>, specials: SpecialTokens, length: usize) -> Result<Self> {
        Self::plan(documents, specials, length, true)
    }

    fn plan(documents: Arc<dyn Documents>, specials: SpecialTokens, length: usize, whole: bool) -> Result<Self> {
        if !(3..=1 << 16).contains(&length) {
            return Err(Error::config("sequence_length", format!("{length} is not within 3 to 65536")));
        }
        let mut packing = Packing { documents, specials, length, whole, starts: Starts::default() };
        let (first, documents) = (packing.skip_finished(Place::FIRST)?, packing.documents.documents());
        packing.starts = Starts::plan(first, documents, |place| packing.after(place))?;
        Ok(packing)
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens per sequence.
    pub fn sequence_length(&self) -> usize {
        self.length
    }

    pub fn specials(&self) -> SpecialTokens {
        self.specials
    }

    /// Writes sequence `index` to `sequence`, whose memory is reused.
    ///
    /// # Errors
    /// The documents can't be read.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn sequence(&self, index: usize, sequence: &mut Sequence) -> Result<()> {
        let start = self.starts.at(index, |place| self.after(place))?;
        sequence.clear();
        self.walk(start, |place, tokens| {
            sequence.begin_piece(self.specials.cls, tokens + 2);
            let range = place.token..place.token + tokens;
            self.documents.read(place.document, range, &mut sequence.ids, &mut sequence.word_starts)?;
            sequence.push_special(self.specials.sep);
            Ok(())
        })?;
        sequence.pad(self.specials.pad, self.length);
        Ok(())
    }

    /// Where the sequence after the one at `place` begins.
    fn after(&self, place: Place) -> Result<Place> {
        self.walk(place, |_, _| Ok(()))
    }

    /// Visits the pieces of the sequence that begins at `place` (where each begins, and its tokens without specials)
    /// and returns where the next sequence begins.
    fn walk(&self, mut place: Place, mut visit: impl FnMut(Place, usize) -> Result<()>) -> Result<Place> {
        let mut room = self.length;
        while place.document < self.documents.documents() && (room >= SHORTEST || room == self.length) {
            let left = self.documents.document_tokens(place.document)? - place.token;
            if self.whole && left > room - 2 && room < self.length {
                break;
            }
            let tokens = left.min(room - 2);
            visit(place, tokens)?;
            room -= tokens + 2;
            place = self.skip_finished(Place { token: place.token + tokens, ..place })?;
        }
        Ok(place)
    }

    /// `place`, or the start of the next document that has tokens if this one has no more.
    fn skip_finished(&self, mut place: Place) -> Result<Place> {
        while place.document < self.documents.documents()
            && place.token == self.documents.document_tokens(place.document)?
        {
            place = Place { document: place.document + 1, token: 0 };
        }
        Ok(place)
    }
}

impl Sequence {
    /// A sequence that one document fills; every token begins a word.
    pub fn document(ids: Vec<u32>) -> Self {
        let length = ids.len();
        Sequence {
            word_starts: vec![true; length],
            spans: vec![[0, length as u32]; length],
            positions: (0..length as u32).collect(),
            types: vec![0; length],
            real: length,
            ids,
        }
    }

    /// A sequence of `length` pad tokens.
    pub fn empty(pad: u32, length: usize) -> Self {
        let mut sequence = Sequence::default();
        sequence.pad(pad, length);
        sequence
    }

    /// The words of the sequence, without special tokens. If a piece begins within a word, the rest of that word counts as a
    /// word.
    pub fn words(&self, specials: &SpecialTokens) -> Vec<Range<u32>> {
        let mut words: Vec<Range<u32>> = Vec::new();
        let text = (0..self.real).filter(|&position| !specials.contains(self.ids[position]));
        for position in text.map(|position| position as u32) {
            match words.last_mut() {
                Some(word) if word.end == position && !self.word_starts[position as usize] => word.end += 1,
                _ => words.push(position..position + 1),
            }
        }
        words
    }

    fn clear(&mut self) {
        self.ids.clear();
        self.word_starts.clear();
        self.spans.clear();
        self.positions.clear();
        self.types.clear();
        self.real = 0;
    }

    /// Adds the first token of a piece, and the spans and positions of the whole piece.
    pub fn begin_piece(&mut self, cls: u32, length: usize) {
        let start = self.ids.len();
        self.push_special(cls);
        self.spans.resize(start + length, [start as u32, (start + length) as u32]);
        self.positions.extend(0..length as u32);
        self.types.resize(start + length, 0);
        self.real = start + length;
    }

    /// Adds a special token to a piece that was begun.
    pub fn push_special(&mut self, id: u32) {
        self.ids.push(id);
        self.word_starts.push(true);
    }

    /// Fills the sequence up to `length` tokens.
    pub fn pad(&mut self, pad: u32, length: usize) {
        self.ids.resize(length, pad);
        self.word_starts.resize(length, true);
        self.spans.extend((self.real as u32..length as u32).map(|at| [at, at + 1]));
        self.positions.resize(length, 0);
        self.types.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokenizer::Encoded;

    const SPECIALS: SpecialTokens = SpecialTokens { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

    fn packing(lengths: &[usize], length: usize) -> Packing {
        let mut next = 100;
        let document = |&length: &usize| {
            next += 1000;
            Encoded { ids: (next..next + length as u32).collect(), word_starts: vec![true; length] }
        };
        let documents: Vec<Encoded> = lengths.iter().map(document).collect();
        Packing::new(Arc::new(documents), SPECIALS, length).unwrap()
    }

    fn sequences(packing: &Packing) -> Vec<Sequence> {
        let sequence = |index| {
            let mut sequence = Sequence::default();
            packing.sequence(index, &mut sequence).unwrap();
            sequence
        };
        (0..packing.len()).map(sequence).collect()
    }

    #[test]
    fn a_small_case_in_full() {
        let packed = sequences(&packing(&[2, 0, 20], 20));
        assert_eq!(packed.len(), 2);
        let expected = [2, 1100, 1101, 3, 2, 3100, 3101, 3102, 3103, 3104, 3105, 3106, 3107, 3108, 3109, 3110];
        assert_eq!(packed[0].ids[..16], expected);
        assert_eq!(packed[0].ids[16..], [3111, 3112, 3113, 3]);
        assert_eq!(packed[0].spans[..5], [[0, 4], [0, 4], [0, 4], [0, 4], [4, 20]]);
        assert_eq!(packed[0].positions[..6], [0, 1, 2, 3, 0, 1]);
        assert_eq!(packed[0].real, 20);
        assert_eq!(packed[1].ids[..9], [2, 3114, 3115, 3116, 3117, 3118, 3119, 3, 0]);
        assert_eq!((packed[1].spans[7], packed[1].spans[8], packed[1].positions[8]), ([0, 8], [8, 9], 0));
        assert_eq!(packed[1].real, 8);
    }

    #[test]
    fn every_token_once_whatever_the_lengths() {
        for length in [3, 4, 15, 16, 17, 33, 128] {
            let lengths = [5, 1, 0, 126, 127, 14, 300, 0, 2];
            let mut ids = Vec::new();
            for sequence in sequences(&packing(&lengths, length)) {
                let [n, m] = [sequence.ids.len(), sequence.word_starts.len()];
                assert_eq!([n, m, sequence.spans.len(), sequence.positions.len()], [length; 4]);
                assert!(sequence.ids[sequence.real..].iter().all(|id| *id == SPECIALS.pad));
                for (at, id) in sequence.ids.iter().enumerate() {
                    let [start, end] = sequence.spans[at].map(|bound| bound as usize);
                    assert!(start <= at && at < end && sequence.positions[at] as usize == at - start);
                    assert_eq!(*id == SPECIALS.cls, at == start && at < sequence.real);
                    assert_eq!(*id == SPECIALS.sep, at == end - 1 && at < sequence.real);
                }
                ids.extend(sequence.ids.into_iter().filter(|id| !SPECIALS.contains(*id)));
            }
            assert!(ids.is_sorted() && ids.len() == lengths.iter().sum::<usize>(), "length {length}");
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn whole_documents_are_cut_only_where_they_fit_no_sequence() {
        let Packing { documents, .. } = packing(&[10, 5, 18, 2, 40, 3], 32);
        let packed = sequences(&Packing::whole(documents, SPECIALS, 32).unwrap());
        let pieces = |sequence: &Sequence| {
            let ends = sequence.spans[..sequence.real].iter().map(|span| span[1] - span[0] - 2);
            let first = sequence.positions[..sequence.real].iter().map(|&position| position == 0);
            ends.zip(first).filter_map(|(tokens, first)| first.then_some(tokens)).collect::<Vec<_>>()
        };
        let found: Vec<Vec<u32>> = packed.iter().map(pieces).collect();
        assert_eq!(found, [vec![10, 5], vec![18], vec![2], vec![30], vec![10, 3]]);
    }

    #[test]
    fn nothing_and_nonsense() {
        assert!(packing(&[], 16).is_empty() && packing(&[0, 0], 16).is_empty());
        assert!(Packing::new(Arc::new(Vec::new()), SPECIALS, 2).is_err());
    }
}
