//! Log messages on stderr: those of level info as they are, others with their level in front.

use log::{Level, LevelFilter};
use std::io::Write;

/// Starts the log at the level that -v and -q ask for. RUST_LOG, when set, wins.
pub(super) fn start(verbose: u8, quiet: u8) {
    let own = match i16::from(verbose) - i16::from(quiet) {
        ..=-2 => LevelFilter::Error,
        -1 => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        2.. => LevelFilter::Trace,
    };
    // The graphics libraries log their internals at "info" and "warn".
    let others = if verbose >= 2 { LevelFilter::Debug } else { LevelFilter::Error };
    env_logger::Builder::new()
        .filter_level(others)
        .filter_module("cloze", own)
        .parse_default_env()
        .format(|out, record| match record.level() {
            Level::Info => writeln!(out, "{}", record.args()),
            Level::Warn => writeln!(out, "warning: {}", record.args()),
            Level::Error => writeln!(out, "error: {}", record.args()),
            Level::Debug | Level::Trace => writeln!(out, "[{}] {}", record.target(), record.args()),
        })
        .init();
}
