//! Turns text into a prepared folder: shards of token ids, token counts, a copy of the tokenizer and a manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::corpus::{Corpus, CorpusOptions, Report};
use super::dataset::Split;
use super::divide::Division;
use super::encode::encode;
use super::manifest::{FileEntry, MANIFEST, Manifest, TOKENIZER, UNIGRAM};
use super::maskable::{check_maskable, warn_of_unknown};
use super::parts::Parts;
use super::shard::write_synced;
use super::staging::Staging;
use super::tokenizer::Tokenizer;
use crate::{Error, Remedy, Result};

#[derive(Clone, Debug)]
pub struct PrepareOptions {
    pub corpus: CorpusOptions,
    pub validation: Validation,
    /// A shard ends with the document that brings it to this many tokens.
    pub shard_tokens: u64,
    /// Whether prepared data at the destination is replaced.
    pub overwrite: bool,
    /// When it becomes true, `prepare` gives up and leaves nothing behind.
    pub stop: Arc<AtomicBool>,
}

/// Where validation documents come from.
#[derive(Clone, Debug)]
pub enum Validation {
    /// This share of the documents, above 0 and at most 0.5; with few documents, this share of each of them.
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

/// Tokenises `inputs` into the folder `destination`, which appears once everything is in it and on disk.
///
/// # Errors
/// `Corpus` fails; the destination may not be replaced; there is no text for training or validation; I/O.
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
            // The smaller part goes first: if it has no text, that is found at once.
            let validation = Corpus::open(files, options.corpus.clone())?;
            let push = |document| parts.push(Split::Validation, document);
            let validation = encode(tokenizer, validation, &options.stop, push)?;
            parts.require(Split::Validation)?;
            encode(tokenizer, train, &options.stop, |document| parts.push(Split::Train, document))?.plus(validation)
        }
    };
    let (splits, [counts, validation_counts]) = parts.finish()?;
    let read = |paths| Corpus::open(paths, options.corpus.clone());
    check_maskable(tokenizer, &counts, "the training text", || read(inputs))?;
    let held_out = match &options.validation {
        Validation::Fraction(_) => inputs,
        Validation::Files(files) => files,
    };
    warn_of_unknown(tokenizer, &validation_counts, "the validation text", || read(held_out))?;
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
        let problem = format!("a fraction of {fraction} is not above 0 and at most 0.5");
        return Err(Error::config("validation", problem).with(Remedy::HoldOut));
    }
    let corpus = Corpus::open(inputs, options.corpus.clone())?;
    let mut division = Division::new(fraction);
    let push = |document| division.push(document, |split, document| parts.push(split, document));
    let report = encode(tokenizer, corpus, &options.stop, push)?;
    division.finish(|split, document| parts.push(split, document))?;
    if !parts.has(Split::Validation) {
        parts.hold_out_ends(fraction)?;
    }
    Ok(report)
}

fn write_file(folder: &Path, name: &str, content: &[u8]) -> Result<FileEntry> {
    let blake3 = write_synced(&folder.join(name), &[content])?;
    Ok(FileEntry { file: name.into(), bytes: content.len() as u64, blake3 })
}
