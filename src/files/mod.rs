//! Files that are on the disk whole or not at all: everything that Cloze writes is written in this way.

pub mod cache;
mod lock;
mod replacement;

pub use lock::Lock;
pub use replacement::{Replacement, replace};

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a new file under a name that nobody reads yet, and waits until it is on the disk.
///
/// # Errors
/// The disk refuses.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// Reads a file of a model or a tokenizer. A pipe or a device is refused, because reading it might never end.
///
/// # Errors
/// It can't be read, or is a pipe or a device.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let kind = fs::metadata(path).map_err(Error::io(path))?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(Error::file(path, "is a pipe or a device; write it to a file first"));
    }
    fs::read(path).map_err(Error::io(path))
}

/// Refuses a file whose format version is not one from 1 to `newest`.
///
/// # Errors
/// The version is another one.
pub fn check_version(path: &Path, found: u64, newest: u32) -> Result<()> {
    match (1..=newest.into()).contains(&found) {
        true => Ok(()),
        false => Err(Error::Version { path: path.to_path_buf(), found, newest }),
    }
}

/// Waits until the names of a folder's files are on the disk. Windows, where folders cannot be opened, does this by itself.
///
/// # Errors
/// The disk refuses.
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(())
}

/// The folder that a path lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
