//! Errors that a device reports outside of a call, and calls of wgpu that would panic because of them.

use super::device::Gpu;
use crate::{Error, Result};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Once};

/// The first error that the device reported outside of a call.
#[derive(Clone, Default)]
pub(super) struct Problems(Arc<Mutex<Option<Problem>>>);

enum Problem {
    /// The device stays usable.
    Passing(String),
    OutOfMemory,
    /// The device is lost, and nothing on it will succeed any more.
    Lost(String),
    /// Memory ran out inside the driver, which could not go on.
    LostForMemory,
}

impl Problem {
    fn is_loss(&self) -> bool {
        matches!(self, Problem::Lost(_) | Problem::LostForMemory)
    }

    fn error(&self) -> Error {
        match self {
            Problem::Passing(message) => Error::device(message.clone()),
            Problem::Lost(message) => Error::DeviceLost(message.clone()),
            Problem::OutOfMemory | Problem::LostForMemory => {
                Error::OutOfMemory("the device is out of memory; end other programs that use it".into())
            }
        }
    }
}

impl Problems {
    /// From now on collects a device's reports here.
    pub fn listen(&self, device: &wgpu::Device) {
        let (uncaptured, lost) = (self.clone(), self.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            uncaptured.report(match error {
                wgpu::Error::OutOfMemory { .. } => Problem::OutOfMemory,
                other => Problem::Passing(format!("the device reported: {other}")),
            });
        }));
        device.set_device_lost_callback(move |_, message| {
            // wgpu reports this as a lost device; Vulkan and DX12 answer so when an allocation inside the driver fails.
            let for_memory = message.to_lowercase().contains("out of memory");
            let message = if message.is_empty() { "its driver gives no reason".into() } else { message };
            lost.report(if for_memory { Problem::LostForMemory } else { Problem::Lost(message) });
        });
    }

    fn report(&self, problem: Problem) {
        let mut first = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if first.is_none() || (problem.is_loss() && !first.as_ref().is_some_and(Problem::is_loss)) {
            *first = Some(problem);
        }
    }

    /// Errors when the device was lost.
    pub fn loss(&self) -> Result<()> {
        let first = self.0.lock().unwrap_or_else(|e| e.into_inner());
        first.as_ref().filter(|problem| problem.is_loss()).map_or(Ok(()), |problem| Err(problem.error()))
    }

    /// Errors with what was reported since the last check. A device that was lost stays lost.
    pub fn check(&self) -> Result<()> {
        let mut first = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let Some(problem) = &*first else { return Ok(()) };
        let error = problem.error();
        if !problem.is_loss() {
            *first = None;
        }
        Err(error)
    }
}

impl Gpu {
    /// Makes wgpu check which work has finished, and call back those that wait for it.
    ///
    /// # Errors
    /// The device was lost (wgpu's own call panics then), or waiting for it fails.
    pub(super) fn poll(&self, poll: wgpu::PollType) -> Result<wgpu::PollStatus> {
        let _call = self.watchdog.call();
        self.blame(match without_panic(|| self.device.poll(poll)) {
            Ok(status) => status.map_err(|error| Error::device(format!("waiting for the device failed: {error}"))),
            Err(message) => Err(Error::DeviceLost(message)),
        })
    }

    /// Errors with what the device reported since the last check.
    ///
    /// # Errors
    /// As [`Gpu::blame`].
    pub(super) fn check(&self) -> Result<()> {
        self.blame(self.problems.check())
    }

    /// Passes a result of the device on. If it failed, the cause may have been reported elsewhere.
    ///
    /// # Errors
    /// The device was lost, or else the result's own error.
    pub(super) fn blame<T>(&self, result: Result<T>) -> Result<T> {
        result.or_else(|error| {
            // wgpu reports a loss once no work is in flight; other failures of the lost device may come first.
            let _call = self.watchdog.call();
            let _ = without_panic(|| self.device.poll(wgpu::PollType::wait_indefinitely()));
            self.problems.loss().and(self.problems.check()).and(Err(error))
        })
    }
}

thread_local! {
    /// Whether a panic of this thread becomes an error with a message of its own.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// The result of a call of wgpu, or the message that it panicked with. The panic prints nothing.
pub(super) fn without_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                usual(info);
            }
        }));
    });
    EXPECTED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    EXPECTED.set(false);
    outcome.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        message.and_then(|message| message.lines().last()).unwrap_or("it panicked").trim().to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_outlives_what_is_said_after_it() {
        let problems = Problems::default();
        problems.report(Problem::Passing("a shader".into()));
        assert!(matches!(problems.check(), Err(Error::Device { .. })));
        assert!(problems.check().is_ok());
        problems.report(Problem::OutOfMemory);
        assert!(matches!(problems.check(), Err(Error::OutOfMemory(_))));
        for problem in [Problem::Lost("reset".into()), Problem::Passing("later".into()), Problem::LostForMemory] {
            problems.report(problem);
            assert!(matches!(problems.check(), Err(Error::DeviceLost(_))));
        }
    }

    #[test]
    fn a_panic_of_a_call_is_its_message() {
        assert_eq!(without_panic(|| 1), Ok(1));
        let message = without_panic(|| panic!("Error in Device::poll\n    Parent device is lost\n"));
        assert_eq!(message, Err("Parent device is lost".to_string()));
    }
}
