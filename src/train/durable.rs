//! Files that are whole on the disk before anything says that they are.

use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a new file and waits until the disk has it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// Writes `path` in `folder` in one rename: a reader, or a killed process, sees the old file or the new one.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (unfinished, path) = (folder.join(format!(".tmp-{name}")), folder.join(name));
    write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, &path).map_err(Error::io(&path))?;
    sync_folder(folder)
}

/// Waits until the disk has the names of a folder's files. Windows, where folders cannot be opened, does it unasked.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(())
}
