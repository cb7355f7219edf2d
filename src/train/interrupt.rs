//! Ctrl-C and SIGTERM: the first asks training to stop after its step, the second ends the process at once.

use crate::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit code of a run that a signal ended, as shells count it for Ctrl-C (128 + SIGINT).
pub const EXIT_CODE: i32 = 130;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Catches both signals from now on. Calling it again changes nothing.
///
/// # Errors
/// The operating system refuses a handler.
pub fn install() -> Result<()> {
    let flag = Arc::new(AtomicBool::new(false));
    if INTERRUPTED.set(flag.clone()).is_err() {
        return Ok(());
    }
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in this order: the first signal finds the flag down and raises it, the second finds it up.
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_CODE, flag.clone())
            .and_then(|_| signal_hook::flag::register(signal, flag.clone()))
            .map_err(Error::io("signal handler"))?;
    }
    Ok(())
}

/// What the first signal sets; without [`install`], nothing does.
pub fn flag() -> Arc<AtomicBool> {
    INTERRUPTED.get().cloned().unwrap_or_default()
}

/// Whether a signal has come since [`install`].
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Not a test of its own: what `signals_are_counted` runs in a process that may end.
    const CHILD: &str = "CLOZE_TEST_SIGNALS";

    #[test]
    fn signals_are_counted() {
        if let Ok(signals) = std::env::var(CHILD) {
            return raise(signals.parse().unwrap());
        }
        for (signals, code) in [(0, 0), (1, 0), (2, EXIT_CODE)] {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "train::interrupt::tests::signals_are_counted"])
                .env(CHILD, signals.to_string())
                .output()
                .unwrap();
            assert_eq!(child.status.code(), Some(code), "after {signals} signals");
        }
    }

    fn raise(signals: usize) {
        install().unwrap();
        install().unwrap();
        assert!(!interrupted());
        for signal in [SIGINT, SIGTERM].into_iter().take(signals) {
            signal_hook::low_level::raise(signal).unwrap();
        }
        assert_eq!(interrupted(), signals > 0);
    }
}
