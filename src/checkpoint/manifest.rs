//! One checkpoint: its manifest, and files that are read only when they are what the manifest says.

use crate::optim::OptimizerKind;
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

pub(super) const MANIFEST: &str = "manifest.json";
const MANIFEST_HASH: &str = "manifest.json.blake3";
/// The newest version that is read, and the one that is written.
const FORMAT: u32 = 1;

/// Where training stands, apart from weights and moments: with the config, all that a resume needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// Optimiser steps done.
    pub step: u64,
    /// Tokens trained on, padding not included.
    pub tokens: u64,
    /// Sequences taken from the training data: the loader's cursor, whatever the microbatch.
    pub sequences: u64,
    /// Sequences of a microbatch, for a resume with "auto"; 0 in a checkpoint that does not tell.
    #[serde(default)]
    pub micro_batch: usize,
    /// The kernel variants that the run began with, by `Kernel::shape`: with others a resume has other bits. None in a run on
    /// the CPU, and in a checkpoint that does not tell.
    #[serde(default)]
    pub variants: BTreeMap<String, String>,
    /// The run's seed.
    pub seed: u64,
    /// Whose state the checkpoint holds.
    #[serde(default)]
    pub optimizer: OptimizerKind,
    /// Tokens of a training sequence.
    pub sequence_length: usize,
    /// Cross-entropy of the validation at this step in nats, if there was one.
    pub validation_loss: Option<f64>,
    /// The lowest validation loss so far, in nats.
    pub best_validation_loss: Option<f64>,
    /// The step that had it.
    pub best_step: Option<u64>,
    /// The step of the last validation.
    #[serde(default)]
    pub validated_step: Option<u64>,
    /// Time spent training, resumes included.
    pub elapsed_seconds: f64,
    /// What it was trained on; nothing in a checkpoint that does not tell.
    #[serde(default)]
    pub data: DataSeen,
    /// [`crate::config::Config::digest`] of the run.
    pub config_digest: String,
}

/// The data of a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSeen {
    /// `data.prepared` of the config; none where a run has its own.
    pub folder: Option<PathBuf>,
    /// [`crate::data::Prepared::digest`]; empty in a checkpoint that does not tell.
    pub digest: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    state: TrainingState,
    files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub bytes: u64,
    pub blake3: String,
}

/// A checkpoint whose manifest has been read and checked; its files are checked as they are read.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest,
}

impl Checkpoint {
    /// Opens a checkpoint folder.
    ///
    /// # Errors
    /// There is no manifest, it is damaged, or another version of Cloze wrote it.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        let file = path.join(MANIFEST);
        let bytes = fs::read(&file).map_err(Error::io(&file))?;
        let hash_file = path.join(MANIFEST_HASH);
        let hash = fs::read(&hash_file).map_err(Error::io(&hash_file))?;
        if hash != hash_line(&bytes).as_bytes() {
            return Err(damaged(&file, format!("its hash is not the one in {MANIFEST_HASH}")));
        }
        Ok(Checkpoint { path: path.to_path_buf(), manifest: parse(&file, &bytes)? })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where training stood.
    pub fn state(&self) -> &TrainingState {
        &self.manifest.state
    }

    /// The names of its files, sorted.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.manifest.files.keys().map(String::as_str)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// The checkpoint has no such file, or the file is missing or not what was saved.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let (entry, mut file) = self.file(name, &path)?;
        let mut bytes = Vec::with_capacity(entry.bytes as usize);
        file.read_to_end(&mut bytes).map_err(Error::io(&path))?;
        check(entry, blake3::hash(&bytes), &path).map(|()| bytes)
    }

    /// A file for reading, whose content has been checked without holding it in memory.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn open_file(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        let (entry, mut file) = self.file(name, &path)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file).map_err(Error::io(&path))?;
        file.rewind().map_err(Error::io(&path))?;
        check(entry, hasher.finalize(), &path).map(|()| file)
    }

    /// Opens a file that is as long as it should be.
    fn file(&self, name: &str, path: &Path) -> Result<(&FileEntry, File)> {
        let Some(entry) = self.manifest.files.get(name) else {
            return Err(Error::file(path, "is not part of this checkpoint"));
        };
        let file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        match length == entry.bytes {
            true => Ok((entry, file)),
            false => Err(damaged(path, format!("{length} bytes, and {} were saved", entry.bytes))),
        }
    }

    /// Reads every file.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn verify(&self) -> Result<()> {
        self.files().try_for_each(|name| self.open_file(name).map(drop))
    }
}

fn check(entry: &FileEntry, found: blake3::Hash, path: &Path) -> Result<()> {
    match found.to_hex().as_str() == entry.blake3 {
        true => Ok(()),
        false => Err(damaged(path, "its content is not what was saved".into())),
    }
}

/// Whether an error says that the checkpoint itself is damaged, and not that the system refuses to read it now.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => source.kind() == ErrorKind::NotFound,
        Error::Version { .. } => false,
        _ => true,
    }
}

fn damaged(path: &Path, problem: String) -> Error {
    Error::file(path, format!("is damaged: {problem}; take another checkpoint of the run"))
}

/// Writes the manifest of the files in `path`, which are on the disk.
pub(super) fn write(path: &Path, state: &TrainingState, files: BTreeMap<String, FileEntry>) -> Result<()> {
    let manifest = Manifest { format: FORMAT, state: state.clone(), files };
    let mut json = serde_json::to_vec_pretty(&manifest).expect("a manifest of numbers and names is always JSON");
    json.push(b'\n');
    files::write_new(&path.join(MANIFEST_HASH), hash_line(&json).as_bytes())?;
    files::write_new(&path.join(MANIFEST), &json)?;
    files::sync_folder(path)
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let invalid = |error: serde_json::Error| Error::file(file, format!("is not a checkpoint's manifest: {error}"));
    let Format { format } = serde_json::from_slice(bytes).map_err(invalid)?;
    files::check_version(file, format, FORMAT)?;
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(invalid)?;
    match manifest.files.keys().find(|name| !is_plain(name)) {
        Some(name) => Err(Error::file(file, format!("lists `{name}`, which is not a file of the checkpoint"))),
        None => Ok(manifest),
    }
}

/// Whether a name stays inside the folder and is none of the store's own.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && !name.starts_with(MANIFEST) && name.chars().all(plain)
}

fn hash_line(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", blake3::hash(manifest).to_hex())
}
