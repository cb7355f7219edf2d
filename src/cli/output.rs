//! The one place that writes to standard output. If the reader has gone, as with `head`, the command ends quietly; a full disk
//! is an error that names standard output. Both arrive as an `io::Error`, and `main` tells them apart.

use std::io::{self, ErrorKind, StdoutLock, Write};

/// The name of standard output in messages.
pub const NAME: &str = "standard output";

/// Standard output, which is flushed after each line.
pub(super) struct Stdout(StdoutLock<'static>);

/// Locks standard output for a command to write to; no other part of the process may hold it meanwhile.
pub(super) fn stdout() -> Stdout {
    Stdout(io::stdout().lock())
}

/// Writes out a last line that has no line break.
///
/// # Errors
/// It can't be written.
pub fn finish() -> io::Result<()> {
    stdout().flush()
}

/// Prints a message to standard error. A failure is ignored, since there is nowhere else to report it.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Whether the reader of our output has closed the pipe.
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

/// An error that names standard output. An interruption is passed on as it is, since the caller tries again.
fn named(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock => error,
        kind => io::Error::new(kind, crate::Error::io(NAME)(error)),
    }
}
