//! Files in the user's cache directory: what need not be found out again. None of them is ever needed.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Where they lie; `None`, with a note in the log, where the system has no such place.
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

/// Writes a file in one rename, since other processes may read and write it too.
///
/// # Errors
/// The disk refuses.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
