//! The one error type of the library. Every message names what is wrong and what to do about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something on `path`.
    #[error("{}: {source}{}", path.display(), advice(source))]
    Io { path: PathBuf, source: std::io::Error },
    /// The content of the file or folder `path` is not what it should be.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// A setting, named by its path in the config (`train.steps`), is unknown, of the wrong type or impossible.
    #[error("{key}: {problem}")]
    Config { key: String, problem: String },
    /// The compute device is missing, refused something, or is too small.
    #[error("{0}")]
    Device(String),
    /// The compute device was lost while it worked: nothing will go well on it until it is opened anew.
    #[error(
        "the device was lost: {0}; look whether its driver was reset or updated, or it overheats, and run this again, a training with --resume"
    )]
    DeviceLost(String),
    /// The compute device has no room for a program that nothing kept from being tried.
    #[error("{0}")]
    OutOfMemory(String),
    /// Training cannot go on: losses or gradients are not finite.
    #[error("{0}")]
    Diverged(String),
}

/// What to do about an error of the operating system, where that is clear.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "; check the path",
        ErrorKind::IsADirectory => "; name a file, not a folder",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "; name a folder, not a file",
        ErrorKind::PermissionDenied => "; check its permissions, or choose another path",
        ErrorKind::StorageFull => "; make room on the disk",
        _ => "",
    }
}

impl Error {
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }

    pub fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Config { key: key.into(), problem: problem.into() }
    }

    /// For `map_err`: attaches the path to an I/O error.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }
}
