//! A folder that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::manifest::is_prepared_file;
use crate::files::{self, Lock};
use crate::{Error, Remedy, Result};

/// A temporary folder beside its destination, which is removed on drop unless it was committed. While it exists, no other
/// process makes the same destination.
pub(crate) struct Staging {
    folder: TempDir,
    destination: PathBuf,
    /// Whether prepared data at the destination may be replaced.
    overwrite: bool,
    _claim: Claim,
}

impl Staging {
    /// For prepared data, which may replace older prepared data.
    ///
    /// # Errors
    /// `destination` must not be replaced: it is a file, holds something other than prepared data, or holds prepared
    /// data and `overwrite` is false; another process is making it.
    pub fn new(destination: &Path, overwrite: bool) -> Result<Self> {
        // A link is followed: the folder that it leads to is replaced.
        let destination = fs::canonicalize(destination).unwrap_or_else(|_| destination.to_path_buf());
        let claim = Claim::take(&destination)?;
        check_replaceable(&destination, overwrite)?;
        Staging::beside(destination, overwrite, claim)
    }

    /// For a folder that is not there yet.
    ///
    /// # Errors
    /// `destination` exists; another process is making it.
    pub fn fresh(destination: &Path) -> Result<Self> {
        let claim = Claim::take(destination)?;
        if fs::symlink_metadata(destination).is_ok() {
            return Err(Error::file(destination, "exists already; choose another folder, or remove it"));
        }
        Staging::beside(destination.to_path_buf(), false, claim)
    }

    fn beside(destination: PathBuf, overwrite: bool, claim: Claim) -> Result<Self> {
        let parent = files::folder_of(&destination);
        let folder = temporary_folder(&beside(&destination, "partial-")?, parent).map_err(Error::io(parent))?;
        Ok(Staging { folder, destination, overwrite, _claim: claim })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves the folder to its destination. Its files must have been synced.
    ///
    /// # Errors
    /// Something has appeared at the destination that must not be replaced; the disk refuses.
    pub fn commit(self) -> Result<()> {
        files::sync_folder(self.folder.path())?;
        let new = self.folder.path();
        if !self.overwrite {
            // An empty folder is removed. Anything else stays, and makes this fail.
            let _ = fs::remove_dir(&self.destination);
            if fs::symlink_metadata(&self.destination).is_ok() {
                let problem = "has appeared meanwhile, and was not replaced; choose another folder, or remove it";
                return Err(Error::file(&self.destination, problem));
            }
            fs::rename(new, &self.destination).map_err(Error::io(&self.destination))?;
            return files::sync_folder(files::folder_of(&self.destination));
        }
        check_replaceable(&self.destination, true)?;
        let old = replaced(&self.destination)?;
        let replaces = self.destination.exists();
        if replaces {
            fs::rename(&self.destination, &old).map_err(Error::io(&self.destination))?;
        }
        if let Err(error) = fs::rename(new, &self.destination) {
            // This is the error to report. What can't be put back now is put back at the next start.
            let _ = recover(&self.destination);
            return Err(Error::io(&self.destination)(error));
        }
        files::sync_folder(files::folder_of(&self.destination))?;
        match replaces {
            true => fs::remove_dir_all(&old).map_err(Error::io(&old)),
            false => Ok(()),
        }
    }
}

/// The exclusive right to make a folder, which is released on drop.
struct Claim {
    _lock: Lock,
    path: PathBuf,
}

impl Claim {
    /// Takes the right to make `destination`, and removes what a killed process left.
    fn take(destination: &Path) -> Result<Claim> {
        let parent = files::folder_of(destination);
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let path = parent.join(beside(destination, "lock")?);
        let claim = loop {
            let lock = Lock::take(&path)?.ok_or_else(|| {
                Error::file(destination, "another process is making this folder; wait for it, or choose another")
            })?;
            // The previous holder may have removed the file in between.
            if path.exists() {
                break Claim { _lock: lock, path };
            }
        };
        recover(destination)?;
        let left = beside(destination, "partial-")?;
        for entry in fs::read_dir(parent).map_err(Error::io(parent))?.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(left.as_bytes()) {
                // What can't be removed does no harm.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Puts the old folder back if a process was killed after moving it away and before moving the new one into its place. Must
/// be called by whoever makes the folder, or finds it missing.
///
/// # Errors
/// The disk refuses.
pub(super) fn recover(destination: &Path) -> Result<()> {
    let old = replaced(destination)?;
    match (old.exists(), destination.exists()) {
        (true, true) => fs::remove_dir_all(&old).map_err(Error::io(&old)),
        (true, false) => {
            log::warn!("{}: put back as it was before it was to be replaced", destination.display());
            fs::rename(&old, destination).map_err(Error::io(destination))
        }
        (false, _) => Ok(()),
    }
}

/// Where the old folder is kept while the new one takes its place.
fn replaced(destination: &Path) -> Result<PathBuf> {
    Ok(files::folder_of(destination).join(beside(destination, "replaced")?))
}

/// The name of a file beside the destination.
fn beside(destination: &Path, what: &str) -> Result<String> {
    let name = destination.file_name().ok_or_else(|| Error::file(destination, "name the folder to make"))?;
    Ok(format!(".{}.{what}", name.to_string_lossy()))
}

fn check_replaceable(destination: &Path, overwrite: bool) -> Result<()> {
    let entries = match fs::read_dir(destination) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(destination))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>();
    let names = names.map_err(Error::io(destination))?;
    if let Some(foreign) = names.iter().find(|name| !is_prepared_file(&name.to_string_lossy())) {
        let problem = format!("the folder holds {}, which isn't prepared data: choose another", foreign.display());
        return Err(Error::file(destination, problem));
    }
    if !names.is_empty() && !overwrite {
        return Err(Error::file(destination, "prepared data is here already").with(Remedy::Overwrite));
    }
    Ok(())
}

/// A folder that everyone may read, as far as the umask lets them; temporary ones are private by default.
fn temporary_folder(prefix: &str, parent: &Path) -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.prefix(prefix).tempdir_in(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_appears_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("data");
        let staging = Staging::new(&out, false).unwrap();
        fs::create_dir(&out).unwrap();
        fs::write(out.join("manifest.json"), "of somebody else").unwrap();
        let message = staging.commit().unwrap_err().to_string();
        assert!(message.contains("has appeared meanwhile"), "{message}");
        assert_eq!(fs::read(out.join("manifest.json")).unwrap(), b"of somebody else");

        let staging = Staging::new(&out, true).unwrap();
        fs::write(out.join("thesis.doc"), "years of work").unwrap();
        assert!(staging.commit().unwrap_err().to_string().contains("thesis.doc"));
        assert!(out.join("thesis.doc").exists());
    }

    #[test]
    fn one_process_at_a_time_and_no_trace_of_those_that_were_killed() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("data");
        fs::create_dir(dir.path().join(".data.partial-killed")).unwrap();
        fs::create_dir(dir.path().join(".data.replaced")).unwrap();
        fs::write(dir.path().join(".data.replaced/unigram.bin"), "old").unwrap();
        let first = Staging::new(&out, true).unwrap();
        assert_eq!(fs::read(out.join("unigram.bin")).unwrap(), b"old", "it is put back");
        let message = Staging::new(&out, true).err().unwrap().to_string();
        assert!(message.contains("another process is making this folder"), "{message}");
        fs::write(first.path().join("unigram.bin"), "new").unwrap();
        first.commit().unwrap();
        assert_eq!(fs::read(out.join("unigram.bin")).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let staging = Staging::new(&dir.path().join("link"), true).unwrap();
        fs::write(staging.path().join("unigram.bin"), "new").unwrap();
        staging.commit().unwrap();
        assert!(dir.path().join("link").is_symlink() && dir.path().join("real/unigram.bin").exists());
    }
}
