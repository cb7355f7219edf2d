//! Locks between processes. The operating system releases a lock when its process ends, however it ends.

use crate::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// A lock, which is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the file `path`, which is created if it is missing; `None` if another process holds the lock. On a
    /// file system without locks, this warns in the log and counts as taken.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn take(path: &Path) -> Result<Option<Lock>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(Error::io(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                log::warn!("{}: this file system has no locks; let nothing else write here", path.display());
                Ok(Some(Lock { _file: file }))
            }
            Err(TryLockError::Error(error)) => Err(Error::io(path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::take(&path).unwrap().is_some());
    }
}
