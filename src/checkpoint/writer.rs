//! Writes the files of a checkpoint, and hashes them as they are written.

use super::manifest::{FileEntry, is_plain};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the files of a checkpoint one after another.
pub struct CheckpointWriter {
    folder: PathBuf,
    entries: BTreeMap<String, FileEntry>,
}

impl CheckpointWriter {
    pub(super) fn new(folder: &Path) -> CheckpointWriter {
        CheckpointWriter { folder: folder.to_path_buf(), entries: BTreeMap::new() }
    }

    /// Writes a file by `content`, so that nobody has to hold all of it in memory.
    ///
    /// # Errors
    /// The name is not allowed for a checkpoint's file; the disk refuses; `content` fails.
    pub fn file(&mut self, name: &str, content: impl FnOnce(&mut HashingWriter) -> Result<()>) -> Result<()> {
        let path = self.folder.join(name);
        if !is_plain(name) || self.entries.contains_key(name) {
            return Err(Error::file(path, "is not a name that a checkpoint can give a file"));
        }
        let file = File::create(&path).map_err(Error::io(&path))?;
        let mut writer = HashingWriter { path, out: BufWriter::new(file), hasher: blake3::Hasher::new() };
        content(&mut writer)?;
        self.entries.insert(name.to_string(), writer.finish()?);
        Ok(())
    }

    /// Writes a file of these bytes.
    ///
    /// # Errors
    /// As [`CheckpointWriter::file`].
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.file(name, |out| out.put(bytes))
    }

    pub(super) fn entries(self) -> BTreeMap<String, FileEntry> {
        self.entries
    }
}

/// A file of a checkpoint that is being written.
pub struct HashingWriter {
    path: PathBuf,
    out: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl HashingWriter {
    /// Writes bytes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(Error::io(&self.path))
    }

    /// Waits until the file is on the disk.
    fn finish(self) -> Result<FileEntry> {
        let synced = || {
            let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()
        };
        let (bytes, blake3) = (self.hasher.count(), self.hasher.finalize().to_hex().to_string());
        synced().map_err(Error::io(&self.path))?;
        Ok(FileEntry { bytes, blake3 })
    }
}
