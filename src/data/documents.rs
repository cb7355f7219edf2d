//! Where tokenised documents are read from: memory or mapped shards.

use std::ops::Range;

use super::tokenizer::Encoded;

/// A list of tokenised documents without special tokens.
pub trait Documents: Send + Sync {
    /// The number of documents.
    fn documents(&self) -> usize;

    /// The number of tokens of one document.
    fn document_tokens(&self, document: usize) -> usize;

    /// Appends the tokens `range` of one document, and for each whether a word begins there.
    ///
    /// # Panics
    /// If there is no such document or range.
    fn read(&self, document: usize, range: Range<usize>, ids: &mut Vec<u32>, word_starts: &mut Vec<bool>);
}

/// Documents in memory, such as text that was just tokenised.
impl Documents for Vec<Encoded> {
    fn documents(&self) -> usize {
        self.len()
    }

    fn document_tokens(&self, document: usize) -> usize {
        self[document].ids.len()
    }

    fn read(&self, document: usize, range: Range<usize>, ids: &mut Vec<u32>, word_starts: &mut Vec<bool>) {
        ids.extend_from_slice(&self[document].ids[range.clone()]);
        word_starts.extend_from_slice(&self[document].word_starts[range]);
    }
}
