//! The threads that compute on the CPU.

use anyhow::Context;
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};
use std::thread;

/// Starts the threads, as many as there are cores or as RAYON_NUM_THREADS says. If the system allows no more threads,
/// everything runs on the calling one: slower, and with other last bits.
///
/// # Errors
/// Not even the calling thread can be used.
pub(super) fn start() -> anyhow::Result<()> {
    let pool = match trial() {
        Ok(()) => ThreadPoolBuilder::new(),
        Err(error) => {
            log::warn!("no threads to compute with ({error}): everything runs on one; see `ulimit -u`");
            ThreadPoolBuilder::new().num_threads(1).use_current_thread()
        }
    };
    pool.build_global().context("threads to compute with; RAYON_NUM_THREADS says how many")
}

/// Tries whether the threads can be started. The global pool can be built only once, and not again after a failure.
fn trial() -> Result<(), ThreadPoolBuildError> {
    let mut threads = Vec::new();
    let pool = ThreadPoolBuilder::new().spawn_handler(|work| {
        threads.push(thread::Builder::new().spawn(|| work.run())?);
        Ok(())
    });
    let made = pool.build().map(drop);
    for thread in threads {
        // They ran no work, so they can't have panicked.
        let _ = thread.join();
    }
    made
}
