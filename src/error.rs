//! The one error type of the library. Every message says what is wrong, and many errors say what may help.

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
    File { path: PathBuf, problem: String, remedy: Option<Remedy> },
    /// The format version of the file `path` is one that this Cloze does not read, because a later one wrote it.
    #[error(
        "{}: is of version {found} of its format, and the newest that this Cloze reads is {newest}; take the Cloze that wrote it, \
         or a later one",
        path.display()
    )]
    Version { path: PathBuf, found: u64, newest: u32 },
    /// A setting, named by its path in the config (`train.steps`), is unknown, of the wrong type or impossible.
    #[error("{key}: {problem}")]
    Config { key: String, problem: String, remedy: Option<Remedy> },
    /// The compute device is missing, refused something, or is too small.
    #[error("{problem}")]
    Device { problem: String, remedy: Option<Remedy> },
    /// The compute device was lost while it worked. Nothing works on it until it is opened again.
    #[error(
        "the device was lost: {0}; look whether its driver was reset or updated, or it overheats, and run this again"
    )]
    DeviceLost(String),
    /// The compute device has no memory for a program, although nothing spoke against trying it.
    #[error("{0}")]
    OutOfMemory(String),
    /// Training cannot go on: losses or gradients are not finite.
    #[error("{0}")]
    Diverged(String),
}

/// What may help against an error. The library does not know whether that is asked for by a flag, a key or a call, so whoever
/// shows the error has to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Fewer sequences at once, or shorter ones.
    SmallerBatch,
    /// Fewer layers, or a smaller width.
    SmallerModel,
    /// A smaller width.
    NarrowerModel,
    /// Fewer tokens in the vocabulary, or a smaller width.
    SmallerVocabulary,
    /// Fewer positions, or a smaller width.
    FewerPositions,
    /// Numbers stored as f32.
    FullPrecision,
    /// A format of numbers with a wider range.
    WiderFormat,
    /// A GPU, or numbers stored as f32.
    GpuOrFullPrecision,
    /// The CPU.
    Cpu,
    /// The CPU, or a look at what is wrong with the GPU.
    CpuOrExamination,
    /// One of the devices that there are.
    KnownDevice,
    /// No times of kernels, or the CPU.
    NoProfile,
    /// To resume a training from its latest checkpoint.
    Resume,
    /// To resume a training, or to wait longer for the device.
    ResumeOrWaitLonger,
    /// To resume the run, or another folder for a new one.
    ResumeOrAnotherFolder,
    /// Another folder for the run.
    AnotherFolder,
    /// A new run in another folder.
    AnotherRun,
    /// To begin the run without resuming it.
    BeginAnew,
    /// To replace the prepared data that is there.
    Overwrite,
    /// To prepare data.
    Prepare,
    /// To prepare the data again.
    PrepareAgain,
    /// To hold out more text for validation, or to name files.
    HoldOut,
    /// The name of the key that holds the text in a line of JSON, or to skip more lines.
    TextKey,
    /// To skip more lines without a usable text.
    SkipMoreLines,
    /// Another kind of tokenizer, or a larger vocabulary.
    OtherTokenizer,
    /// A key and its value, joined by `=`.
    Assignment,
}

/// What to do about an error of the operating system, if that is clear.
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
        Error::File { path: path.as_ref().to_path_buf(), problem: problem.into(), remedy: None }
    }

    pub fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Config { key: key.into(), problem: problem.into(), remedy: None }
    }

    pub fn device(problem: impl Into<String>) -> Self {
        Error::Device { problem: problem.into(), remedy: None }
    }

    /// For `map_err`: attaches the path to an I/O error.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// Adds what may help to the error. Kinds of error that have no room for it stay as they are.
    pub fn with(mut self, help: Remedy) -> Self {
        if let Error::File { remedy, .. } | Error::Config { remedy, .. } | Error::Device { remedy, .. } = &mut self {
            *remedy = Some(help);
        }
        self
    }

    /// What may help, if that is known.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Error::Io { .. } | Error::Version { .. } => None,
            Error::File { remedy, .. } | Error::Config { remedy, .. } | Error::Device { remedy, .. } => *remedy,
            Error::DeviceLost(_) | Error::Diverged(_) => Some(Remedy::Resume),
            Error::OutOfMemory(_) => Some(Remedy::SmallerBatch),
        }
    }
}
