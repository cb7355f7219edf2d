//! A prepared folder, opened: every file verified, the shards ready to be read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::documents::Documents;
use super::manifest::{MANIFEST, Manifest, SplitEntry};
use super::shard::{Shard, damaged, read_verified};
use super::special::SpecialTokens;
use super::tokenizer::Tokenizer;
use crate::Result;

/// A split of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Validation,
}

impl Split {
    /// Its name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
        }
    }
}

/// Data made by `prepare`.
pub struct Prepared {
    manifest: Manifest,
    tokenizer: Tokenizer,
    /// Train, validation.
    splits: [Arc<Tokens>; 2],
    unigram: Vec<u64>,
}

impl Prepared {
    /// Whether `folder` is one that `prepare` made. If a process was killed while replacing the folder, the old one is put
    /// back first.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn is_in(folder: impl AsRef<Path>) -> Result<bool> {
        Manifest::is_in(folder.as_ref())
    }

    /// Opens a prepared folder. All of it is read once in order to check it, at a few GB per second.
    ///
    /// # Errors
    /// A file is missing, or not as `prepare` left it.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let manifest = Manifest::read(folder)?;

        let entry = &manifest.tokenizer;
        let path = folder.join(&entry.file);
        let json = read_verified(&path, entry.bytes, &entry.blake3)?;
        let tokenizer = Tokenizer::from_bytes_with(json, manifest.special_names.clone(), &path)?;
        if (tokenizer.vocab_size(), tokenizer.specials()) != (manifest.vocab_size, manifest.specials) {
            return Err(damaged(&folder.join(MANIFEST), "its vocabulary is not that of its tokenizer.json"));
        }

        let entry = &manifest.unigram;
        let path = folder.join(&entry.file);
        let counts = read_verified(&path, entry.bytes, &entry.blake3)?;
        if counts.len() != 8 * manifest.vocab_size {
            return Err(damaged(&path, "it does not hold one number for each token of the vocabulary"));
        }
        let unigram = bytemuck::pod_collect_to_vec(&counts);

        let open = |entry| Tokens::open(folder, entry, manifest.vocab_size).map(Arc::new);
        let splits = [open(&manifest.train)?, open(&manifest.validation)?];
        Ok(Prepared { tokenizer, splits, unigram, manifest })
    }

    pub fn split(&self, split: Split) -> &Arc<Tokens> {
        &self.splits[split as usize]
    }

    /// How often each token id occurs in the training split; as long as the vocabulary.
    pub fn unigram(&self) -> &[u64] {
        &self.unigram
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn vocab_size(&self) -> usize {
        self.manifest.vocab_size
    }

    pub fn specials(&self) -> SpecialTokens {
        self.manifest.specials
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A hash, in hex, of what training sees of it: its tokenizer and tokens.
    pub fn digest(&self) -> String {
        let Manifest { tokenizer, train, validation, .. } = &self.manifest;
        let mut hasher = blake3::Hasher::new();
        hasher.update(tokenizer.blake3.as_bytes());
        for split in [train, validation] {
            hasher.update(b"/");
            split.shards.iter().for_each(|shard| _ = hasher.update(shard.blake3.as_bytes()));
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The tokenised documents of one split, read from its shards.
pub struct Tokens {
    shards: Vec<Shard>,
    /// Number of the first document of each shard.
    firsts: Vec<usize>,
    documents: usize,
    tokens: u64,
}

impl Tokens {
    fn open(folder: &Path, entry: &SplitEntry, vocab_size: usize) -> Result<Self> {
        let open = |shard| Shard::open(folder, shard, vocab_size);
        let tokens = Tokens::new(entry.shards.par_iter().map(open).collect::<Result<_>>()?);
        if (tokens.documents as u64, tokens.tokens) != (entry.documents, entry.tokens) || tokens.tokens == 0 {
            return Err(damaged(&folder.join(MANIFEST), "its totals are not those of its shards"));
        }
        Ok(tokens)
    }

    pub(super) fn new(shards: Vec<Shard>) -> Self {
        let mut documents = 0;
        let mut firsts = Vec::with_capacity(shards.len());
        for shard in &shards {
            firsts.push(documents);
            documents += shard.documents();
        }
        let tokens = shards.iter().map(Shard::tokens).sum();
        Tokens { shards, firsts, documents, tokens }
    }

    /// The number of documents.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// The number of tokens, without special ones.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The shard of a document, and its number there.
    fn find(&self, document: usize) -> (&Shard, usize) {
        let shard = self.firsts.partition_point(|first| *first <= document) - 1;
        (&self.shards[shard], document - self.firsts[shard])
    }
}

impl Documents for Tokens {
    fn documents(&self) -> usize {
        self.documents
    }

    fn document_tokens(&self, document: usize) -> Result<usize> {
        let (shard, document) = self.find(document);
        let bounds = shard.bounds(document)?;
        Ok((bounds.end - bounds.start) as usize)
    }

    fn read(
        &self,
        document: usize,
        range: Range<usize>,
        ids: &mut Vec<u32>,
        word_starts: &mut Vec<bool>,
    ) -> Result<()> {
        let (shard, document) = self.find(document);
        let bounds = shard.bounds(document)?;
        let range = bounds.start + range.start as u64..bounds.start + range.end as u64;
        assert!(range.end <= bounds.end, "tokens beyond a document");
        shard.read(range, ids, word_starts)
    }
}
