//! Parse, run, exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

use clap::Parser;
use cloze::cli::{self, Cli};
use cloze::train::interrupt;
use std::io::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) if interrupt::interrupted() => ExitCode::from(interrupt::EXIT_CODE as u8),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", cli::describe(&error));
            if interrupt::interrupted() { ExitCode::from(interrupt::EXIT_CODE as u8) } else { ExitCode::FAILURE }
        }
    }
}

/// Whoever read our output, such as `head`, has seen enough.
fn reader_has_gone(error: &anyhow::Error) -> bool {
    let mut io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.any(|error| error.kind() == ErrorKind::BrokenPipe)
}
