//! How far the reading of a text has come, for whoever shows it: as with a logger, that is said once in a process, and until then
//! nothing is shown.

use std::sync::{Arc, OnceLock};

/// A reading that is shown. Its files are read on another thread than the one that began.
pub trait Progress: Send + Sync {
    /// So many more bytes have been read, as they lie on the disk.
    fn advance(&self, bytes: u64);

    /// Calls what writes a message, which is to stand above what is shown.
    fn above(&self, message: &dyn Fn());

    /// Everything has been read, or an error ended it.
    fn finish(&self);
}

/// Begins to show a reading of so many bytes; `what` is done with them, such as "tokenising".
pub type Show = fn(what: &'static str, bytes: u64) -> Arc<dyn Progress>;

static SHOW: OnceLock<Show> = OnceLock::new();

/// Has every reading shown that begins from now on. Only the first call in a process counts.
pub fn show_progress(show: Show) {
    SHOW.get_or_init(|| show);
}

/// A reading that is shown where anybody asked for that.
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
