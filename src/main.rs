//! Parses the arguments, runs the command, and sets the exit code: 0 done, 1 failed, 2 wrong usage, 3 a device hangs
//! (`exec::gpu::watchdog`), 130 interrupted.

use clap::Parser;
use cloze::cli::{self, Cli, output, renamed};
use cloze::train::interrupt;
use std::process::ExitCode;

fn main() -> ExitCode {
    quieten_drivers();
    let done = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(usage) if usage.use_stderr() => {
            renamed::notes().iter().for_each(|note| output::complain(&format!("warning: {note}")));
            usage.exit()
        }
        // The user asked for help or for the version.
        Err(help) => help.print().map_err(|error| cloze::Error::io(output::NAME)(error).into()),
    };
    match done.and_then(|()| Ok(output::finish()?)) {
        Ok(()) if interrupt::interrupted() => ExitCode::from(interrupt::EXIT_CODE as u8),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&cli::describe(&error));
            if interrupt::interrupted() { ExitCode::from(interrupt::EXIT_CODE as u8) } else { ExitCode::FAILURE }
        }
    }
}

/// Turns off Mesa's device-select layer if there is no desktop. The layer asks the desktop for its device, and would print an
/// error without one.
fn quieten_drivers() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() && std::env::var_os("DISPLAY").is_none() {
        // SAFETY: this process has no other thread yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
