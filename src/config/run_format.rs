//! `run.json`: the format version of what a run keeps. Its checkpoints and its prepared data have versions of their own. Runs
//! of the first versions have no `run.json`.

use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
const FILE: &str = "run.json";

/// The content. Later versions may have more keys.
#[derive(Serialize, Deserialize)]
struct RunFormat {
    version: u64,
}

/// Writes the format version into a run's folder.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let mut json = serde_json::to_vec(&RunFormat { version: VERSION.into() }).expect("a number is always JSON");
    json.push(b'\n');
    files::replace(&folder.join(FILE), &json)
}

/// Refuses the folder of a run that a later version wrote.
///
/// # Errors
/// A later version wrote it; the file can't be read, or is damaged.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    let json = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(Error::io(&path))?,
    };
    let format: RunFormat = serde_json::from_slice(&json)
        .map_err(|error| Error::file(&path, format!("is damaged ({error}); it holds {{\"version\":{VERSION}}}")))?;
    files::check_version(&path, format.version, VERSION)
}
