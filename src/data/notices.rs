//! Warnings about the files of a corpus, so that nothing is repaired or left out silently.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::progress::Progress;
use crate::{Error, Remedy, Result};

/// Number of files that a warning names. Further ones are only counted.
const NAMED: u64 = 5;
/// With fewer lines than this, a share of bad lines means nothing yet.
const FEW_LINES: u64 = 1000;

/// Warns about each of the first files that have a problem, and about the rest together.
pub(super) struct Notices {
    what: &'static str,
    progress: Arc<dyn Progress>,
    files: u64,
    /// Occurrences of the problem in files that were not named.
    unnamed: u64,
}

impl Notices {
    pub fn new(what: &'static str, progress: &Arc<dyn Progress>) -> Self {
        Notices { what, progress: progress.clone(), files: 0, unnamed: 0 }
    }

    /// Must be called at the end of each file, with the number of occurrences in it.
    pub fn file(&mut self, path: &Path, count: u64, detail: &str) {
        if count == 0 {
            return;
        }
        self.files += 1;
        match self.files > NAMED {
            true => self.unnamed += count,
            false => self.progress.above(&|| log::warn!("{}: {count} {}{detail}", path.display(), self.what)),
        }
    }

    /// Must be called after the last file.
    pub fn finish(&mut self) {
        if self.files > NAMED {
            let more = self.files - NAMED;
            self.progress.above(&|| log::warn!("in {more} more files: {} {}", self.unnamed, self.what));
        }
        (self.files, self.unnamed) = (0, 0);
    }
}

/// The warning about bytes that are no text, and what to do about them.
pub(super) const NOT_UTF8: &str = "byte sequences that are not UTF-8 were replaced by U+FFFD";
pub(super) const NOT_UTF8_REMEDY: &str = "; if the text is in another encoding, convert it to UTF-8";
pub(super) const BAD_LINES: &str = "lines without a usable text were skipped";

/// Lines that can't be used. Some are skipped; too many are an error.
pub(super) struct BadLines {
    /// The largest share of all lines that may be bad.
    most: f64,
    lines: u64,
    bad: u64,
    /// Where the first bad line is, what is wrong with it, and what may help.
    first: Option<(PathBuf, String, Remedy)>,
}

impl BadLines {
    pub fn new(most: f64) -> Self {
        BadLines { most, lines: 0, bad: 0, first: None }
    }

    pub fn good(&mut self) {
        self.lines += 1;
    }

    /// # Errors
    /// There are more of them than the share of all lines allows.
    pub fn bad(&mut self, path: &Path, problem: String, remedy: Remedy) -> Result<()> {
        self.lines += 1;
        self.bad += 1;
        self.first.get_or_insert_with(|| (path.to_path_buf(), problem, remedy));
        self.check(self.lines.max(FEW_LINES))
    }

    /// Must be called after the last line.
    ///
    /// # Errors
    /// As `bad`.
    pub fn finish(&self) -> Result<()> {
        self.check(self.lines)
    }

    fn check(&self, lines: u64) -> Result<()> {
        let too_many = self.bad as f64 > self.most * lines as f64;
        let Some((path, problem, remedy)) = self.first.as_ref().filter(|_| too_many) else { return Ok(()) };
        let (bad, read, most) = (self.bad, self.lines, self.most);
        let share =
            format!("{bad} of {read} lines read can't be used, and no more than a share of {most} may be skipped");
        let problem = if most == 0.0 { problem.clone() } else { format!("{problem} ({share})") };
        Err(Error::file(path, problem).with(*remedy))
    }
}
