//! One checkpoint: its manifest, and its files, which are checked against the manifest when they are read.

use crate::optim::OptimizerKind;
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

pub(super) const MANIFEST: &str = "manifest.json";
const MANIFEST_HASH: &str = "manifest.json.blake3";
/// The version that is written, and the newest that is read.
const FORMAT: u32 = 1;

/// The state of training, apart from the weights and the optimiser state. With these and the config, training can be resumed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// Optimiser steps done.
    pub step: u64,
    /// Tokens trained on, padding not included.
    pub tokens: u64,
    /// Sequences taken from the training data so far. The loader continues from there, whatever the microbatch.
    pub sequences: u64,
    /// Sequences per microbatch, for a resume with "auto"; 0 in a checkpoint of a version that did not save it.
    #[serde(default)]
    pub micro_batch: usize,
    /// The kernel variants that the run began with, by `Kernel::shape`. Other variants would give a resume other bits. Empty
    /// for a run on the CPU, and in a checkpoint of a version that did not save them.
    #[serde(default)]
    pub variants: BTreeMap<String, String>,
    /// The run's seed.
    pub seed: u64,
    /// The optimiser whose state the checkpoint holds.
    #[serde(default)]
    pub optimizer: OptimizerKind,
    /// Tokens per training sequence.
    pub sequence_length: usize,
    /// Cross-entropy of the validation at this step in nats, if there was one.
    pub validation_loss: Option<f64>,
    /// The lowest validation loss so far, in nats.
    pub best_validation_loss: Option<f64>,
    /// The step with the lowest validation loss.
    pub best_step: Option<u64>,
    /// The step of the last validation.
    #[serde(default)]
    pub validated_step: Option<u64>,
    /// Time spent training, resumes included.
    pub elapsed_seconds: f64,
    /// The data that it was trained on; empty in a checkpoint of a version that did not save it.
    #[serde(default)]
    pub data: DataSeen,
    /// [`crate::config::Config::digest`] of the run.
    pub config_digest: String,
}

/// The data of a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSeen {
    /// `data.prepared` of the config; `None` if the run prepared its own data.
    pub folder: Option<PathBuf>,
    /// [`crate::data::Prepared::digest`]; empty in a checkpoint of a version that did not save it.
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

/// A checkpoint whose manifest has been checked. Its files are checked as they are read.
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

    /// The state of training.
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

    /// Opens a file for reading, after checking its content without holding it in memory.
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

    /// Opens a file after checking its length.
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

    /// Reads every file in order to check it.
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

/// Whether an error means that the checkpoint itself is damaged, and not just that it can't be read now.
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

/// Writes the manifest for the files in `path`, which must be on the disk already.
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

/// Whether a name stays inside the folder and is not one of the store's own files.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && !name.starts_with(MANIFEST) && name.chars().all(plain)
}

fn hash_line(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", blake3::hash(manifest).to_hex())
}
