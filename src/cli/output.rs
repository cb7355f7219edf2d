//! Standard output: the one place that writes to it. A reader that has gone, such as `head`, ends a command quietly, and a full
//! disk is an error that names it; both come as `io::Error`, which `main` judges.

use std::io::{self, ErrorKind, StdoutLock, Write};

/// What messages call it.
pub const NAME: &str = "standard output";

/// Standard output, a line at a time.
pub(super) struct Stdout(StdoutLock<'static>);

/// Standard output for a command to write to; no other part of the process may hold it meanwhile.
pub(super) fn stdout() -> Stdout {
    Stdout(io::stdout().lock())
}

/// Hands on what a last line without its end has left.
///
/// # Errors
/// It can't be written.
pub fn finish() -> io::Result<()> {
    stdout().flush()
}

/// Prints a message to standard error, as far as anybody takes it: there is nowhere to tell that nobody does.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Whether whoever read our output has seen enough.
pub fn reader_has_gone(error: &anyhow::Error) -> bool {
    let mut io = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.any(|error| error.kind() == ErrorKind::BrokenPipe)
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

/// An error with the name of what it happened to. An interruption is none: the caller tries again.
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock => error,
        kind => io::Error::new(kind, crate::Error::io(NAME)(error)),
    }
}
