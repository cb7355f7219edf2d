//! The progress of reading a text, for whoever shows it. As with a logger, this is set once in a process; until then nothing
//! is shown.

use std::sync::{Arc, OnceLock};

/// Shows the progress of one reading. The files are read on another thread than the one that began the reading.
pub trait Progress: Send + Sync {
    /// This many more bytes have been read from the disk, before decompression.
    fn advance(&self, bytes: u64);

    /// Calls `message`, which writes a message that is to appear above the progress.
    fn above(&self, message: &dyn Fn());

    /// Everything has been read, or an error ended it.
    fn finish(&self);
}

/// Begins to show the reading of this many bytes; `what` describes the work, such as "tokenising".
pub type Show = fn(what: &'static str, bytes: u64) -> Arc<dyn Progress>;

static SHOW: OnceLock<Show> = OnceLock::new();

/// Has every reading that begins from now on shown. Only the first call in a process counts.
pub fn show_progress(show: Show) {
    SHOW.get_or_init(|| show);
}

/// A reading that is shown if [`show_progress`] was called.
pub(super) fn begin(what: &'static str, bytes: u64) -> Arc<dyn Progress> {
    SHOW.get().map_or_else(silent, |show| show(what, bytes))
}

/// A reading that nobody sees.
pub(super) fn silent() -> Arc<dyn Progress> {
    Arc::new(Silent)
}

struct Silent;

impl Progress for Silent {
    fn advance(&self, _: u64) {}

    fn above(&self, message: &dyn Fn()) {
        message();
    }

    fn finish(&self) {}
}
