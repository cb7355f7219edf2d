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
    /// An existing `tokenizer.json`. With it, the keys below are ignored, since they say how to train a tokenizer. Default:
    /// none.
    pub file: Option<PathBuf>,
    /// "wordpiece" (default), "bpe" or "unigram".
    pub kind: TokenizerKind,
    /// Largest size of the vocabulary, special tokens included. Default 8192.
    pub vocab_size: usize,
    /// Whether text is lower-cased. Default: true for "wordpiece", false for the others.
    pub lowercase: bool,
    /// Whether Latin, Greek and Cyrillic letters lose their accents; other scripts keep all their marks. Default: true for
    /// "wordpiece" with `lowercase`, false otherwise.
    pub strip_accents: bool,
    /// The most frequent characters get tokens until they make up this share of the text; above 0 and at most 1. The other
    /// characters become unknown. "bpe" needs 1, since it spells every character by its bytes. Default 1: all characters that
    /// the vocabulary has room for.
    pub character_coverage: f64,
}

/// Where the text comes from and how it is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Raw text to train on: files, folders, or patterns such as "my/*.txt". Required unless `prepared` is given.
    pub train: Vec<String>,
    /// A folder made by `cloze prepare`. With it, its tokens and its tokenizer are used, and the keys that say how to read
    /// raw text are ignored. Default: none.
    pub prepared: Option<PathBuf>,
    /// Raw text to validate on. Default: none; a part of the training text is held out instead.
    pub validation: Vec<String>,
    /// Share of the training text that is held out when `validation` is empty. Default 0.02.
    pub validation_fraction: f64,
    /// What counts as one document: a "file" (default), a "line", or the lines up to a blank line ("blank-line").
    pub documents: DocumentSplit,
    /// The JSON key that holds the text in each line of a `.jsonl` file. Default "text".
    pub field: String,
    /// Largest share of `.jsonl` lines that may be skipped because they have no usable text. More are an error. Default 0.01.
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

    /// The options for training a tokenizer.
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
