//! Files that are on the disk whole, or not there: one way to write them, for everything that Cloze writes.

pub mod cache;
mod lock;
mod replacement;

pub use lock::Lock;
pub use replacement::{Replacement, replace};

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a new file, whose name means nothing yet, and waits until the disk has it.
///
/// # Errors
/// The disk refuses.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// Reads a model's or a tokenizer's file. A pipe would be waited for, and a device may have no end.
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

/// Refuses a file that is of another version of its format than those from 1 to `newest`.
///
/// # Errors
/// It is.
pub fn check_version(path: &Path, found: u64, newest: u32) -> Result<()> {
    match (1..=newest.into()).contains(&found) {
        true => Ok(()),
        false => Err(Error::Version { path: path.to_path_buf(), found, newest }),
    }
}

/// Waits until the disk has the names of a folder's files. Windows, where folders cannot be opened, does it unasked.
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
