//! Parse, run, exit code: 0 done, 1 failed, 2 wrong usage, 3 a device hangs (`exec::gpu::watchdog`), 130 interrupted.

use clap::Parser;
use cloze::cli::{self, Cli};
use cloze::train::interrupt;
use std::io::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    quieten_drivers();
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

/// Mesa's layer that picks a device asks the desktop for its own, and complains where there is none: without a desktop it has
/// nothing to pick.
fn quieten_drivers() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() && std::env::var_os("DISPLAY").is_none() {
        // SAFETY: this process has no other thread yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Whoever read our output, such as `head`, has seen enough.
fn reader_has_gone(error: &anyhow::Error) -> bool {
    let mut io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.any(|error| error.kind() == ErrorKind::BrokenPipe)
}
