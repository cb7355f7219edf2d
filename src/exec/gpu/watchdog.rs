//! Ends the process if a call of the driver does not return, since a thread cannot be taken out of such a call.

use crate::{Error, Remedy};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Exit code of a process whose device hangs.
pub const EXIT_CODE: i32 = 3;
/// How long a call may take by default. Submissions are cut so that they take a fraction of a second.
const USUAL: Duration = Duration::from_secs(300);
/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(200);

/// Watches the calls of one device, on a thread that ends with it.
pub(super) struct Watchdog {
    calls: Arc<Calls>,
    /// The thread waits for this to be dropped.
    _alive: Sender<()>,
}

struct Calls {
    /// The device's name.
    device: String,
    limit_ms: AtomicU64,
    next: AtomicU64,
    /// When each call that has not returned began.
    open: Mutex<BTreeMap<u64, Instant>>,
}

impl Calls {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.open.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms.load(Ordering::Relaxed))
    }

    /// Whether a call has taken longer than it may.
    fn hangs(&self, now: Instant) -> bool {
        self.open().values().any(|since| now.saturating_duration_since(*since) > self.limit())
    }
}

/// A call in progress; dropping this marks its end.
pub(super) struct Call<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.open().remove(&self.number);
    }
}

impl Watchdog {
    /// Watches a device of this name. If the system has no thread left for it, nothing is watched.
    pub fn new(device: String) -> Watchdog {
        let limit_ms = AtomicU64::new(USUAL.as_millis() as u64);
        let calls = Arc::new(Calls { device, limit_ms, next: AtomicU64::new(0), open: Mutex::default() });
        let (alive, gone) = channel();
        let watched = calls.clone();
        let watch = move || {
            while gone.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if watched.hangs(Instant::now()) {
                    give_up(&watched);
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
            log::warn!("a device that hangs will not be noticed: {error}");
        }
        Watchdog { calls, _alive: alive }
    }

    /// Sets how long a call may take from now on.
    pub fn limit_to(&self, limit: Duration) {
        self.calls.limit_ms.store(limit.as_millis() as u64, Ordering::Relaxed);
    }

    /// How long a call may take.
    pub fn limit(&self) -> Duration {
        self.calls.limit()
    }

    /// Call this when a call of the driver begins.
    pub fn call(&self) -> Call<'_> {
        let number = self.calls.next.fetch_add(1, Ordering::Relaxed);
        self.calls.open().insert(number, Instant::now());
        Call { calls: &self.calls, number }
    }
}

/// Who reports that a device hangs.
static LAST_WORDS: OnceLock<fn(&Error)> = OnceLock::new();

/// Lets the caller report a hanging device, just before the process ends. Only the first call in a process counts.
pub fn tell_by(last_words: fn(&Error)) {
    LAST_WORDS.get_or_init(|| last_words);
}

fn give_up(calls: &Calls) {
    let (device, seconds) = (&calls.device, calls.limit().as_secs_f64());
    let error = Error::device(format!(
        "{device} hangs: a call of its driver has not returned for {seconds} s; the process ends, since nothing else helps; \
         look whether the device still answers"
    ));
    match LAST_WORDS.get() {
        Some(tell) => tell(&error.with(Remedy::ResumeOrWaitLonger)),
        // Standard error may be closed; then there is nobody else to tell.
        None => _ = writeln!(std::io::stderr(), "error: {error}"),
    }
    // The driver's own clean-up at an orderly exit may hang too.
    signal_hook::low_level::exit(EXIT_CODE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_hangs_when_it_does_not_return() {
        let watchdog = Watchdog::new("a device".into());
        watchdog.limit_to(Duration::from_secs(60));
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(!watchdog.calls.hangs(later(1000)), "nothing is going on");
        let call = watchdog.call();
        watchdog.call();
        assert!(!watchdog.calls.hangs(later(50)));
        assert!(watchdog.calls.hangs(later(70)));
        drop(call);
        assert!(!watchdog.calls.hangs(later(70)));
    }
}
