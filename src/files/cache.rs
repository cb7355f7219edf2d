//! The user's cache directory. It saves work that would have to be done again; nothing there is ever needed.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Cloze's folder there, or `None`, with a note in the log, if the system has no such place.
pub fn folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    match etcetera::choose_base_strategy() {
        Ok(directories) => Some(directories.cache_dir().join("cloze")),
        Err(error) => {
            log::debug!("what is found out about devices is not kept: {error}");
            None
        }
    }
}

/// Writes a file of that folder, and creates the folder if it is missing. Other processes may read and write the file too.
///
/// # Errors
/// The disk refuses.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = super::folder_of(path);
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    super::replace(path, bytes)
}
