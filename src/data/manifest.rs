//! `manifest.json`, which describes a prepared folder.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::corpus::Report;
use super::shard::damaged;
use super::special::{SpecialNames, SpecialTokens};
use super::staging::recover;
use super::tokenizer::Tokenizer;
use crate::{Error, Remedy, Result, files};

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const UNIGRAM: &str = "unigram.bin";
const FORMAT: &str = "cloze-prepared";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

/// The name of a shard; `split` is `train` or `validation`.
pub(super) fn shard_name(split: &str, number: usize) -> String {
    format!("{split}-{number:05}.bin")
}

/// Whether a file of this name belongs to a prepared folder.
pub(super) fn is_prepared_file(name: &str) -> bool {
    let is_shard = |split| name.strip_prefix(split).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".bin"));
    [MANIFEST, TOKENIZER, UNIGRAM].contains(&name) || is_shard("train") || is_shard("validation")
}

/// What a prepared folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u32,
    /// The copy of the tokenizer.
    pub tokenizer: FileEntry,
    pub vocab_size: usize,
    pub specials: SpecialTokens,
    /// The tokenizer's names for its special tokens, if its `tokenizer.json` does not say.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub special_names: SpecialNames,
    pub train: SplitEntry,
    pub validation: SplitEntry,
    /// How often each token id occurs in the training split: u64, little-endian, by id.
    pub unigram: FileEntry,
    /// What was read to make it.
    pub report: Report,
}

/// A file with its checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    pub file: String,
    pub bytes: u64,
    /// BLAKE3 in hex.
    pub blake3: String,
}

/// The training or validation part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitEntry {
    pub documents: u64,
    pub tokens: u64,
    pub shards: Vec<ShardEntry>,
}

/// A shard with its counts and checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    pub file: String,
    pub tokens: u64,
    pub documents: u64,
    pub bytes: u64,
    /// BLAKE3 in hex.
    pub blake3: String,
}

impl Manifest {
    pub(super) fn new(
        tokenizer: FileEntry,
        tokens: &Tokenizer,
        [train, validation]: [SplitEntry; 2],
        unigram: FileEntry,
        report: Report,
    ) -> Self {
        Manifest {
            format: FORMAT.into(),
            version: VERSION,
            tokenizer,
            vocab_size: tokens.vocab_size(),
            specials: tokens.specials(),
            special_names: tokens.special_names().clone(),
            train,
            validation,
            unigram,
            report,
        }
    }

    /// Whether a folder has a `manifest.json`. If a process was killed while replacing the folder, the old one is put back
    /// first.
    pub fn is_in(folder: &Path) -> Result<bool> {
        if !folder.exists() {
            recover(folder)?;
        }
        Ok(folder.join(MANIFEST).is_file())
    }

    /// Reads `folder/manifest.json`, and puts a folder back as [`Manifest::is_in`] does. It checks that the files that the
    /// manifest names lie in `folder` itself, and nothing else about them.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::is_in(folder)?;
        let path = folder.join(MANIFEST);
        let json = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let problem = "not a prepared folder (no manifest.json)";
                return Err(Error::file(folder, problem).with(Remedy::Prepare));
            }
            read => read.map_err(Error::io(&path))?,
        };
        let Format { format, version } = parse(&path, &json)?;
        if format != FORMAT {
            return Err(damaged(&path, "not of prepared data"));
        }
        files::check_version(&path, version, VERSION)?;
        let manifest: Manifest = parse(&path, &json)?;
        let shards = manifest.train.shards.iter().chain(&manifest.validation.shards).map(|shard| &shard.file);
        for name in shards.chain([&manifest.tokenizer.file, &manifest.unigram.file]) {
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(damaged(&path, &format!("\"{name}\" is not the name of a file")));
            }
        }
        Ok(manifest)
    }
}

/// The keys that a manifest of any version has.
#[derive(Deserialize)]
struct Format {
    format: String,
    version: u64,
}

fn parse<T: DeserializeOwned>(path: &Path, json: &[u8]) -> Result<T> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(json))
        .map_err(|error| damaged(path, &error.to_string()))
}

fn is_usual(names: &SpecialNames) -> bool {
    *names == SpecialNames::default()
}
