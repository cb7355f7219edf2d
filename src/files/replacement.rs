//! A file that replaces another in one rename. Readers see the old file or the new one, even if the process is killed.

use super::{folder_of, sync_folder};
use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Most links that are followed, as many as in Linux.
const MOST_LINKS: usize = 40;
/// Bytes of a file's name that the name of its temporary file repeats. Names have at most 255 bytes.
const MOST_NAME: usize = 200;

/// A file that is being written. Its bytes go to a temporary file beside it, which is removed if this is dropped.
///
/// A link is followed, and its target is replaced. The new file gets the permissions of the old one; without an old one, the
/// umask decides. A temporary file is locked while it is written. What a killed process left behind is not locked, so the
/// next process that writes the same file can tell and removes it.
pub struct Replacement {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Begins to write the file `path`.
    ///
    /// # Errors
    /// `path` is a folder, a device or a pipe, which a file can't replace; its folder accepts no new file.
    pub fn new(path: &Path) -> Result<Replacement> {
        let path = target(path)?;
        let permissions = replaceable(&path)?;
        let folder = folder_of(&path);
        let prefix = prefix_of(&path)?;
        clear(folder, &prefix);
        let temporary = create(folder, &prefix).map_err(Error::io(&path))?;
        if let Some(permissions) = permissions {
            temporary.as_file().set_permissions(permissions).map_err(Error::io(&path))?;
        }
        Ok(Replacement { temporary, path })
    }

    /// The file that is being written, links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content so far.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Moves the file into place once all of it is on the disk.
    ///
    /// # Errors
    /// The disk refuses. The old file is then unchanged.
    pub fn commit(self) -> Result<()> {
        self.temporary.as_file().sync_all().map_err(Error::io(&self.path))?;
        self.temporary.persist(&self.path).map_err(|error| Error::io(&self.path)(error.error))?;
        sync_folder(folder_of(&self.path))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Seek for Replacement {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file().seek(to)
    }
}

/// Writes a file in one rename.
///
/// # Errors
/// As [`Replacement::new`] and [`Replacement::commit`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = Replacement::new(path)?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.commit()
}

/// The path that links lead to, whether or not it exists.
fn target(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = folder_of(&path).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(Error::file(path, "is one of a circle of links; name a file"))
}

/// The permissions of the existing file, if there is one.
fn replaceable(path: &Path) -> Result<Option<Permissions>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.permissions())),
        Ok(metadata) if metadata.is_dir() => Err(Error::io(path)(ErrorKind::IsADirectory.into())),
        Ok(_) => Err(Error::file(path, "is a device or a pipe, which a file would replace; name a file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error)),
    }
}

/// The prefix of the names of a file's temporary files.
fn prefix_of(path: &Path) -> Result<OsString> {
    let name = path.file_name().ok_or_else(|| Error::file(path, "names no file"))?.to_string_lossy();
    let short = &name[..name.floor_char_boundary(MOST_NAME)];
    Ok(format!(".{short}.partial-").into())
}

/// Creates a temporary file and locks it. Before it is locked, another process may take it for left behind and remove it.
fn create(folder: &Path, prefix: &OsString) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    loop {
        // `make_in` is used so that the umask applies, and errors keep their number.
        let file =
            builder.make_in(folder, |path| File::options().read(true).write(true).create_new(true).open(path))?;
        match file.as_file().lock() {
            Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error),
            _ if file.path().exists() => return Ok(file),
            _ => {}
        }
    }
}

/// Removes what killed processes left of the same file. What can't be removed does no harm.
fn clear(folder: &Path, prefix: &OsString) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let left = |entry: &fs::DirEntry| {
        entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
            && File::options().write(true).open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
    };
    for entry in entries.flatten().filter(left) {
        let _ = fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_missing_folder_is_told_of_by_the_name_of_the_file() {
        let path = tempfile::tempdir().unwrap().path().join("gone/a.json");
        let message = replace(&path, b"new").unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
        assert!(message.contains("(os error ") && message.ends_with("; check the path"), "{message}");
    }

    #[test]
    fn a_file_appears_at_once_or_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        replace(&path, b"old").unwrap();
        let mut dropped = Replacement::new(&path).unwrap();
        dropped.write_all(b"half").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(dropped);
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn what_is_left_of_a_killed_process_is_cleared_and_what_is_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(dir.path().join(".a.json.partial-killed"), b"half").unwrap();
        fs::write(dir.path().join(".b.json.partial-other"), b"half").unwrap();
        let mut first = Replacement::new(&path).unwrap();
        let second = Replacement::new(&path).unwrap();
        assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
        first.write_all(b"first").unwrap();
        second.commit().unwrap();
        first.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_and_new_files_have_those_of_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (fresh, plain) = (dir.path().join("fresh"), dir.path().join("plain"));
        replace(&fresh, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        assert_eq!(mode(&fresh), mode(&plain));
        fs::set_permissions(&fresh, PermissionsExt::from_mode(0o640)).unwrap();
        replace(&fresh, b"again").unwrap();
        assert_eq!(mode(&fresh), 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        std::os::unix::fs::symlink("second", &first).unwrap();
        std::os::unix::fs::symlink("elsewhere/file", &second).unwrap();
        replace(&first, b"x").unwrap();
        assert!(first.is_symlink() && second.is_symlink());
        assert_eq!(fs::read(dir.path().join("elsewhere/file")).unwrap(), b"x");
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        assert!(replace(&circle, b"x").unwrap_err().to_string().contains("circle of links"));
    }

    #[test]
    fn folders_stay() {
        let dir = tempfile::tempdir().unwrap();
        let message = replace(dir.path(), b"x").unwrap_err().to_string();
        assert!(message.contains("name a file, not a folder"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_stay() {
        let message = replace(Path::new("/dev/null"), b"x").unwrap_err().to_string();
        assert!(message.contains("/dev/null: is a device or a pipe"), "{message}");
    }
}
