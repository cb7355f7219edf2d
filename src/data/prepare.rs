//! Text to a prepared folder: shards of token ids, token counts, a copy of the tokenizer and a manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::corpus::{Corpus, CorpusOptions, Report};
use super::dataset::Split;
use super::divide::Division;
use super::encode::encode;
use super::manifest::{FileEntry, MANIFEST, Manifest, SplitEntry, TOKENIZER, UNIGRAM, shard_name};
use super::shard::{ShardBuilder, token_width, write_synced};
use super::staging::Staging;
use super::tokenizer::{Encoded, Tokenizer};
use crate::{Error, Result};

#[derive(Clone, Debug)]
pub struct PrepareOptions {
    pub corpus: CorpusOptions,
    pub validation: Validation,
    /// A shard ends with the document that brings it to this many tokens.
    pub shard_tokens: u64,
    /// Replace prepared data at the destination.
    pub overwrite: bool,
    /// When it becomes true, `prepare` gives up and leaves nothing behind.
    pub stop: Arc<AtomicBool>,
}

/// Where validation documents come from.
#[derive(Clone, Debug)]
pub enum Validation {
    /// This part of the documents, above 0 and at most 0.5; with few documents, of each document.
    Fraction(f64),
    /// These files.
    Files(Vec<PathBuf>),
}

impl Default for PrepareOptions {
    fn default() -> Self {
        PrepareOptions {
            corpus: CorpusOptions::default(),
            validation: Validation::Fraction(0.01),
            shard_tokens: 16 << 20,
            overwrite: false,
            stop: Arc::default(),
        }
    }
}

/// Tokenises `inputs` into the folder `destination`, which appears when everything is in it and on disk.
///
/// # Errors
/// What `Corpus` refuses; a destination that may not be replaced; no text for training or validation; I/O.
pub fn prepare(
    tokenizer: &Tokenizer,
    inputs: &[PathBuf],
    options: &PrepareOptions,
    destination: &Path,
) -> Result<Manifest> {
    let staging = Staging::new(destination, options.overwrite)?;
    let mut parts = Parts::new(staging.path(), tokenizer, options.shard_tokens);
    let report = match &options.validation {
        Validation::Fraction(fraction) => divide(tokenizer, inputs, *fraction, options, &mut parts)?,
        Validation::Files(files) => {
            let train = Corpus::open(inputs, options.corpus.clone())?;
            let validation = Corpus::open(files, options.corpus.clone())?;
            let train = encode(tokenizer, train, &options.stop, |document| parts.push(Split::Train, document))?;
            let push = |document| parts.push(Split::Validation, document);
            train.plus(encode(tokenizer, validation, &options.stop, push)?)
        }
    };
    let (splits, counts) = parts.finish()?;
    let unigram = write_file(staging.path(), UNIGRAM, bytemuck::cast_slice(&counts))?;
    let copy = write_file(staging.path(), TOKENIZER, tokenizer.json())?;
    let manifest = Manifest::new(copy, tokenizer, splits, unigram, report);
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest has only string keys");
    write_file(staging.path(), MANIFEST, &json)?;
    staging.commit()?;
    Ok(manifest)
}

fn divide(
    tokenizer: &Tokenizer,
    inputs: &[PathBuf],
    fraction: f64,
    options: &PrepareOptions,
    parts: &mut Parts,
) -> Result<Report> {
    if !(fraction > 0.0 && fraction <= 0.5) {
        let problem = format!("{fraction} is not above 0 and at most 0.5; or name the files with --validation");
        return Err(Error::config("--validation-fraction", problem));
    }
    let corpus = Corpus::open(inputs, options.corpus.clone())?;
    let mut division = Division::new(fraction);
    let push = |document| division.push(document, |split, document| parts.push(split, document));
    let report = encode(tokenizer, corpus, &options.stop, push)?;
    division.finish(|split, document| parts.push(split, document))?;
    Ok(report)
}

/// The two parts in the making.
struct Parts<'a> {
    folder: &'a Path,
    shard_tokens: u64,
    builders: [ShardBuilder; 2],
    entries: [SplitEntry; 2],
    /// Occurrences of each token id in the training part.
    counts: Vec<u64>,
}

impl<'a> Parts<'a> {
    fn new(folder: &'a Path, tokenizer: &Tokenizer, shard_tokens: u64) -> Self {
        let builders = [(); 2].map(|()| ShardBuilder::new(token_width(tokenizer.vocab_size())));
        let counts = vec![0; tokenizer.vocab_size()];
        Parts { folder, shard_tokens, builders, entries: Default::default(), counts }
    }

    fn push(&mut self, split: Split, document: Encoded) -> Result<()> {
        if split == Split::Train {
            for id in &document.ids {
                self.counts[*id as usize] += 1;
            }
        }
        self.builders[split as usize].push(&document);
        if self.builders[split as usize].tokens() >= self.shard_tokens {
            self.write_shard(split)?;
        }
        Ok(())
    }

    fn write_shard(&mut self, split: Split) -> Result<()> {
        let entry = &mut self.entries[split as usize];
        let shard = self.builders[split as usize].write(self.folder, shard_name(split.name(), entry.shards.len()))?;
        entry.documents += shard.documents;
        entry.tokens += shard.tokens;
        entry.shards.push(shard);
        Ok(())
    }

    fn finish(mut self) -> Result<([SplitEntry; 2], Vec<u64>)> {
        for split in [Split::Train, Split::Validation] {
            if self.builders[split as usize].documents() > 0 {
                self.write_shard(split)?;
            }
            if self.entries[split as usize].tokens == 0 {
                let problem = format!("there is no text for the {} part", split.name());
                let remedy = "give more text, hold out more of it (--validation-fraction, data.validation_fraction), or \
                              name files (--validation, data.validation)";
                return Err(Error::config("prepare", format!("{problem}: {remedy}")));
            }
        }
        Ok((self.entries, self.counts))
    }
}

fn write_file(folder: &Path, name: &str, content: &[u8]) -> Result<FileEntry> {
    let blake3 = write_synced(&folder.join(name), &[content])?;
    Ok(FileEntry { file: name.into(), bytes: content.len() as u64, blake3 })
}
