//! `[tokenizer]` and `[data]`: from text to sequences.

use crate::Result;
use crate::data::{DocumentSplit, TokenizerKind, TokenizerOptions};
use crate::settings::{fraction, require};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which tokenizer, or how to train one on the training text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// An existing `tokenizer.json`. When it is given, the keys below, which tell
    /// how to train one, do not matter. Default: none.
    pub file: Option<PathBuf>,
    /// "wordpiece" (default), "bpe" or "unigram".
    pub kind: TokenizerKind,
    /// Most entries of the vocabulary, special tokens included. Default 8192.
    pub vocab_size: usize,
    /// Whether text is lower-cased. Default: true for "wordpiece", false for the others.
    pub lowercase: bool,
    /// Whether Latin, Greek and Cyrillic letters lose their accents; other scripts keep all their marks. Default: true for
    /// lower-cased "wordpiece", false for the others.
    pub strip_accents: bool,
    /// Share of the text's characters that have tokens, above 0 and at most 1: the most frequent ones. The others become
    /// unknown. "bpe" has all of them, as bytes. Default 1, all that the vocabulary has room for.
    pub character_coverage: f64,
}

/// Where the text comes from and how it is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Raw text: files, folders, or patterns such as "my/*.txt". Needed unless `prepared` is given.
    pub train: Vec<String>,
    /// A folder made by `cloze prepare`. When it is given, its tokens and its tokenizer are used, and the keys that
    /// tell how to read raw text do not matter. Default: none.
    pub prepared: Option<PathBuf>,
    /// Raw text to validate on. Default: none; a part of the training text is held out.
    pub validation: Vec<String>,
    /// Share of the training text held out when `validation` is empty. Default 0.02.
    pub validation_fraction: f64,
    /// What a document is: a "file" (default), a "line", or lines between blank ones ("blank-line").
    pub documents: DocumentSplit,
    /// The key of the text in `.jsonl` files. Default "text".
    pub field: String,
    /// Most lines of `.jsonl` files without a usable text that are skipped, as a share of all. Default 0.01.
    pub max_bad_lines: f64,
    /// Length of a training sequence in tokens, special ones included. Default 128.
    pub sequence_length: usize,
}

impl TokenizerConfig {
    pub(super) fn check(&self) -> Result<()> {
        let (size, fewest) = (self.vocab_size, self.kind.smallest_vocabulary());
        require((fewest..=1 << 22).contains(&size), "tokenizer.vocab_size", || {
            format!("is {size}; it must be at least {fewest} and at most {}", 1 << 22)
        })?;
        let coverage = self.character_coverage;
        require(coverage > 0.0 && coverage <= 1.0, "tokenizer.character_coverage", || {
            format!("is {coverage}; it must be above 0 and at most 1")
        })?;
        let has_alphabet = self.kind != TokenizerKind::Bpe || coverage == 1.0;
        require(has_alphabet, "tokenizer.character_coverage", || {
            format!("is {coverage}; bpe spells every character by its bytes, so leave it out")
        })
    }

    /// How a tokenizer is learnt.
    pub fn options(&self) -> TokenizerOptions {
        TokenizerOptions {
            kind: self.kind,
            vocab_size: self.vocab_size,
            lowercase: self.lowercase,
            strip_accents: self.strip_accents,
            character_coverage: self.character_coverage,
        }
    }
}

impl DataConfig {
    pub(super) fn check(&self) -> Result<()> {
        require(
            self.prepared.is_some() || !self.train.is_empty(),
            "data.train",
            "names no text; give train = [\"my/*.txt\"], or prepared = \"folder\" made by `cloze prepare`",
        )?;
        let length = self.sequence_length;
        require((16..=1 << 16).contains(&length), "data.sequence_length", || {
            format!("is {length}; it must be at least 16 and at most {}", 1 << 16)
        })?;
        require(!self.field.is_empty(), "data.field", "is empty; name the key of the text in .jsonl files")?;
        fraction("data.max_bad_lines", self.max_bad_lines)?;
        let held_out = self.validation_fraction;
        require(held_out > 0.0 && held_out <= 0.5, "data.validation_fraction", || {
            format!("is {held_out}; it must be above 0 and at most 0.5")
        })
    }
}
