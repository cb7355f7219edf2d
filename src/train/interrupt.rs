//! Signals that end a training: the first asks it to stop after its step, the second ends the process at once.

use crate::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit code of a run that a signal ended, as shells count it for Ctrl-C (128 + SIGINT).
pub const EXIT_CODE: i32 = 130;

static SIGNALS: OnceLock<Signals> = OnceLock::new();

struct Signals {
    /// Whether a signal has come.
    interrupted: Arc<AtomicBool>,
    /// Whether already the first signal ends the process.
    at_once: Arc<AtomicBool>,
}

/// From now on catches Ctrl-C, SIGTERM, and the SIGHUP of a terminal that is closed. Under `nohup`, whose purpose is to have
/// SIGHUP ignored, that stays ignored. Calling this again changes nothing.
///
/// # Errors
/// The operating system refuses a handler.
pub fn install() -> Result<()> {
    let (interrupted, at_once) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    if SIGNALS.set(Signals { interrupted: interrupted.clone(), at_once: at_once.clone() }).is_err() {
        return Ok(());
    }
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup()) {
        // Handlers run in this order: the first signal finds the flag down and raises it, the second finds it up.
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_CODE, at_once.clone())
            .and_then(|_| signal_hook::flag::register_conditional_shutdown(signal, EXIT_CODE, interrupted.clone()))
            .and_then(|_| signal_hook::flag::register(signal, interrupted.clone()))
            .map_err(Error::io("signal handler"))?;
    }
    Ok(())
}

/// SIGHUP, unless the process was started with it ignored.
#[cfg(unix)]
fn hangup() -> Option<i32> {
    use std::io::IsTerminal;
    let ignored = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => {
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
            mask >> (signal_hook::consts::SIGHUP - 1) & 1 == 1
        }
        // Other systems don't say whether it is ignored; under `nohup` neither stream is a terminal.
        Err(_) => !std::io::stdout().is_terminal() && !std::io::stderr().is_terminal(),
    };
    (!ignored).then_some(signal_hook::consts::SIGHUP)
}

#[cfg(not(unix))]
fn hangup() -> Option<i32> {
    None
}

/// The flag that the first signal sets. Without [`install`], nothing sets it.
pub fn flag() -> Arc<AtomicBool> {
    SIGNALS.get().map(|signals| signals.interrupted.clone()).unwrap_or_default()
}

/// Whether a signal has come since [`install`].
pub fn interrupted() -> bool {
    SIGNALS.get().is_some_and(|signals| signals.interrupted.load(Ordering::Relaxed))
}

/// Runs work that can't be asked to stop, and that leaves nothing behind: until it returns, the first signal ends the process.
pub fn ending_at_once<T>(work: impl FnOnce() -> T) -> T {
    let set = |at_once| {
        if let Some(signals) = SIGNALS.get() {
            signals.at_once.store(at_once, Ordering::Relaxed);
        }
    };
    set(true);
    let result = work();
    set(false);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Set in a child process, in which `signals_are_counted` raises signals that may end it.
    const CHILD: &str = "CLOZE_TEST_SIGNALS";

    #[test]
    fn signals_are_counted() {
        match std::env::var(CHILD).as_deref() {
            Ok("at once") => return raise_at_once(),
            Ok(signals) => return raise(signals.parse().unwrap()),
            Err(_) => {}
        }
        for (signals, code) in [("0", 0), ("1", 0), ("2", EXIT_CODE), ("at once", EXIT_CODE)] {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "train::interrupt::tests::signals_are_counted"])
                .env(CHILD, signals)
                .output()
                .unwrap();
            assert_eq!(child.status.code(), Some(code), "after {signals} signals");
        }
    }

    fn raise(signals: usize) {
        install().unwrap();
        install().unwrap();
        assert!(!interrupted());
        for signal in hangup().into_iter().chain([SIGTERM, SIGINT]).take(signals) {
            signal_hook::low_level::raise(signal).unwrap();
        }
        assert_eq!(interrupted(), signals > 0);
    }

    fn raise_at_once() {
        install().unwrap();
        ending_at_once(|| {});
        ending_at_once(|| signal_hook::low_level::raise(SIGINT).unwrap());
        unreachable!("the signal has ended the process");
    }
}
