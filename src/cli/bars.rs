//! Progress bars on standard error, if that is a terminal.

use crate::data::{self, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;

/// Shows a progress bar whenever texts are read.
pub(super) fn show() {
    data::show_progress(|what, bytes| {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::new(bytes).with_style(style.expect("a constant template")).with_message(what);
        Arc::new(Bar(bar))
    });
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn above(&self, message: &dyn Fn()) {
        self.0.suspend(message);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
