//! The threads that compute on the host.

use anyhow::Context;
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};
use std::thread;

/// Makes them, as many as there are cores or RAYON_NUM_THREADS says. Where the system gives no more threads it is the one that
/// there is: slower, and with other last bits.
///
/// # Errors
/// Not even that can compute.
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

/// Whether the threads can be had: the pool of the process is made once, and not again after it could not be made.
fn trial() -> Result<(), ThreadPoolBuildError> {
    let mut threads = Vec::new();
    let pool = ThreadPoolBuilder::new().spawn_handler(|work| {
        threads.push(thread::Builder::new().spawn(|| work.run())?);
        Ok(())
    });
    let made = pool.build().map(drop);
    for thread in threads {
        // They have nothing to do, and so nothing to panic about.
        let _ = thread.join();
    }
    made
}
