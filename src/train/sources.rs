//! Notes what a run's data was made from, so that a later change of the text or the tokenizer is noticed.

use crate::config::Config;
use crate::{Error, Result, data, files};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The file of these notes, beside the data.
const SOURCES: &str = "data.sources.json";

/// The files that data is made from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Source {
    /// The key of the config that names the file.
    key: String,
    /// The path, as messages show it.
    path: String,
    bytes: u64,
    /// When it was last changed, in seconds since 1970, if the file system tells.
    modified: Option<f64>,
    /// The hash of its content, in hex.
    blake3: String,
}

/// The first file of a config that differs from what the data was made from.
#[derive(Debug)]
pub struct Change {
    /// The key of the config that names the file.
    pub key: String,
    path: String,
    /// What happened to it.
    pub what: What,
}

/// What happened to a file since the data was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its content has changed.
    Edited,
    /// It was not there.
    Added,
    /// It is not there any more.
    Gone,
}

impl Change {
    /// The words for a message, which stand after the key.
    pub fn problem(&self) -> String {
        let what = match self.what {
            What::Edited => "has changed since",
            What::Added => "was not there when",
            What::Gone => "is gone since",
        };
        format!("{} {what} the run's data was made", self.path)
    }
}

impl Sources {
    /// Reads and hashes all files that `config` names, before any long work on them begins.
    ///
    /// # Errors
    /// A file that a key names is missing, is no text, or can't be read.
    pub fn of(config: &Config) -> Result<Sources> {
        let source = |(key, path): (&str, PathBuf)| {
            let (bytes, modified) = stat(&path)?;
            Ok(Source { key: key.into(), blake3: hash(&path)?, path: shown(&path), bytes, modified })
        };
        let files = named(config).map_err(|(key, error)| Error::config(key, error.to_string()))?;
        Ok(Sources { files: files.into_iter().map(source).collect::<Result<_>>()? })
    }

    /// What a run has noted; `None` if it has noted nothing, as runs of earlier versions.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(run: &Path) -> Result<Option<Sources>> {
        let path = run.join(SOURCES);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            json => {
                let json = json.map_err(Error::io(&path))?;
                let problem =
                    |error| Error::file(&path, format!("is damaged ({error}); remove it and the folder `data`"));
                serde_json::from_slice(&json).map(Some).map_err(problem)
            }
        }
    }

    /// # Errors
    /// The disk refuses.
    pub fn write(&self, run: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).expect("names and numbers are always JSON");
        files::replace(&run.join(SOURCES), &json)
    }

    /// The first change since then. Like `make` and `rsync`, it takes a file of the same size and time for unchanged.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn change(&self, config: &Config) -> Result<Option<Change>> {
        let now: BTreeMap<String, (&str, PathBuf)> = match named(config) {
            Ok(files) => files.into_iter().map(|(key, path)| (shown(&path), (key, path))).collect(),
            // A file, folder or pattern that leads nowhere.
            Err((key, Error::Io { path, .. } | Error::File { path, .. })) => {
                return Ok(Some(Change { key: key.into(), path: shown(&path), what: What::Gone }));
            }
            Err((_, error)) => return Err(error),
        };
        for Source { key, path, bytes, modified, blake3 } in &self.files {
            let change = |what| Ok(Some(Change { key: key.clone(), path: path.clone(), what }));
            let Some((_, file)) = now.get(path).filter(|(_, file)| file.exists()) else {
                return change(What::Gone);
            };
            let found = stat(file)?;
            if found.0 != *bytes || (found.1 != *modified && hash(file)? != *blake3) {
                return change(What::Edited);
            }
        }
        let known: BTreeSet<&str> = self.files.iter().map(|source| source.path.as_str()).collect();
        let added = now.into_iter().find(|(path, _)| !known.contains(path.as_str()));
        Ok(added.map(|(path, (key, _))| Change { key: key.into(), path, what: What::Added }))
    }
}

/// The files that a config names, and their keys.
///
/// # Errors
/// A key names something that is missing, or that is no text.
fn named(config: &Config) -> Result<Vec<(&'static str, PathBuf)>, (&'static str, Error)> {
    let mut all = Vec::new();
    for (key, names) in [("data.train", &config.data.train), ("data.validation", &config.data.validation)] {
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let found = data::files(&paths).map_err(|error| (key, error))?;
        all.extend(found.into_iter().map(|path| (key, path)));
    }
    all.extend(config.tokenizer.file.iter().map(|path| ("tokenizer.file", path.clone())));
    Ok(all)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Size and time of the last change.
fn stat(path: &Path) -> Result<(u64, Option<f64>)> {
    let metadata = fs::metadata(path).map_err(Error::io(path))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((metadata.len(), modified.map(|time| time.as_secs_f64())))
}

fn hash(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(Error::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
