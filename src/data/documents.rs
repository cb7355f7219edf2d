//! Where tokenised documents are read from: memory or shards.

use std::ops::Range;

use super::tokenizer::Encoded;
use crate::Result;

/// A list of tokenised documents without special tokens.
pub trait Documents: Send + Sync {
    /// The number of documents.
    fn documents(&self) -> usize;

    /// The number of tokens of one document.
    ///
    /// # Errors
    /// The disk refuses, or no longer has what it had.
    ///
    /// # Panics
    /// If there is no such document.
    fn document_tokens(&self, document: usize) -> Result<usize>;

    /// Appends the tokens `range` of one document, and for each whether a word begins there.
    ///
    /// # Errors
    /// The disk refuses, or no longer has what it had.
    ///
    /// # Panics
    /// If there is no such document or range.
    fn read(&self, document: usize, range: Range<usize>, ids: &mut Vec<u32>, word_starts: &mut Vec<bool>)
    -> Result<()>;
}

/// Documents in memory, such as text that was just tokenised.
impl Documents for Vec<Encoded> {
    fn documents(&self) -> usize {
        self.len()
    }

    fn document_tokens(&self, document: usize) -> Result<usize> {
        Ok(self[document].ids.len())
    }

    fn read(
        &self,
        document: usize,
        range: Range<usize>,
        ids: &mut Vec<u32>,
        word_starts: &mut Vec<bool>,
    ) -> Result<()> {
        ids.extend_from_slice(&self[document].ids[range.clone()]);
        word_starts.extend_from_slice(&self[document].word_starts[range]);
        Ok(())
    }
}
