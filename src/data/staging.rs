//! A folder that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::manifest::is_prepared_file;
use crate::{Error, Result, files};

/// A temporary folder beside its destination, removed on drop unless it was committed.
pub(crate) struct Staging {
    folder: TempDir,
    destination: PathBuf,
    /// Whether a folder at the destination makes room.
    replaces: bool,
}

impl Staging {
    /// For prepared data, which may replace older one.
    ///
    /// # Errors
    /// `destination` must not be replaced: it is a file, holds something other than prepared data, or holds prepared
    /// data and `overwrite` is false.
    pub fn new(destination: &Path, overwrite: bool) -> Result<Self> {
        check_replaceable(destination, overwrite)?;
        Staging::beside(destination, true)
    }

    /// For a folder that is not there yet.
    ///
    /// # Errors
    /// `destination` exists.
    pub fn fresh(destination: &Path) -> Result<Self> {
        if fs::symlink_metadata(destination).is_ok() {
            return Err(Error::file(destination, "exists already; choose another folder, or remove it"));
        }
        Staging::beside(destination, false)
    }

    fn beside(destination: &Path, replaces: bool) -> Result<Self> {
        let name = destination.file_name().ok_or_else(|| Error::file(destination, "name the folder to make"))?;
        let parent = files::folder_of(destination);
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let prefix = format!(".{}.partial-", name.to_string_lossy());
        let folder = temporary_folder(&prefix, parent).map_err(Error::io(parent))?;
        Ok(Staging { folder, destination: destination.to_path_buf(), replaces })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves the folder to its destination. Its files must have been synced.
    pub fn commit(self) -> Result<()> {
        files::sync_folder(self.folder.path())?;
        let new = self.folder.keep();
        let mut aside = new.clone().into_os_string();
        aside.push(".replaced");
        let replaced = (self.replaces && self.destination.exists()).then_some(PathBuf::from(aside));
        let renamed = rename(&new, &self.destination, replaced.as_deref());
        if renamed.is_err() {
            // The error that matters is the one of renaming.
            let _ = fs::remove_dir_all(&new);
        }
        renamed.map_err(Error::io(&self.destination))?;
        files::sync_folder(files::folder_of(&self.destination))?;
        match replaced {
            Some(old) => fs::remove_dir_all(&old).map_err(Error::io(&old)),
            None => Ok(()),
        }
    }
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
        return Err(Error::file(destination, "prepared data is here already: replace it with --overwrite"));
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

/// Moves what is at `destination` away if it has to go, and back again if `new` can't take its place.
fn rename(new: &Path, destination: &Path, replaced: Option<&Path>) -> std::io::Result<()> {
    if let Some(replaced) = replaced {
        fs::rename(destination, replaced)?;
    }
    fs::rename(new, destination).inspect_err(|_| {
        if let Some(replaced) = replaced {
            let _ = fs::rename(replaced, destination);
        }
    })
}
