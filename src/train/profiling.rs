//! `train --profile`: measures where the time of some steps goes.

use super::Sink;
use crate::Result;
use crate::device::Device;
use crate::device::speed;
use crate::exec::Executor;
use crate::exec::Speed;
use crate::files;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file of the trace, in the run's folder.
const TRACE: &str = "profile.json";
/// Steps of warm-up before the profile. The first ones touch memory for the first time, and the executor still learns how much
/// work to put into a submission.
const WARM_UP: u64 = 3;

/// A profile that will be taken, or is being taken.
pub struct Profiling {
    folder: PathBuf,
    device: String,
    peak: Speed,
    /// The profile begins after the first of these steps and ends after the last.
    from: u64,
    until: u64,
    begun: Option<(Instant, HostTime)>,
}

impl Profiling {
    /// A profile of `steps` steps, in a training that has done `done` of its `all` steps. Measures the device's peak speed.
    ///
    /// # Errors
    /// The device has no timestamps, or fails.
    pub fn new(
        executor: &mut dyn Executor,
        device: &Device,
        folder: &Path,
        steps: u64,
        (done, all): (u64, u64),
    ) -> Result<Profiling> {
        executor.start_profile()?;
        executor.finish_profile()?;
        let left = all.saturating_sub(done);
        let steps = steps.min(left);
        let from = done + WARM_UP.min(left - steps);
        let (folder, device, peak) = (folder.to_path_buf(), device.describe(), speed::measure(device)?);
        Ok(Profiling { folder, device, peak, from, until: from + steps, begun: None })
    }

    /// Called before a step: begins the profile if it is time.
    ///
    /// # Errors
    /// The device fails.
    pub fn before(&mut self, executor: &mut dyn Executor, step: u64, host: HostTime) -> Result<()> {
        if step == self.from && self.begun.is_none() {
            executor.start_profile()?;
            self.begun = Some((Instant::now(), host));
        }
        Ok(())
    }

    /// Called after a step. After the last profiled step, or if `last` is set, shows the table and writes the trace. Returns
    /// whether it did.
    ///
    /// # Errors
    /// The device fails, or the trace cannot be written.
    pub fn after(
        &mut self,
        executor: &mut dyn Executor,
        (step, last): (u64, bool),
        host: HostTime,
        sinks: &mut dyn Sink,
    ) -> Result<bool> {
        let Some((begin, host_before)) = self.begun else { return Ok(false) };
        if step < self.until && !last {
            return Ok(false);
        }
        let profile = executor.finish_profile()?;
        let (took, steps) = (begin.elapsed(), step - self.from);
        sinks.note(&format!("profile of steps {} to {step} on {}", self.from + 1, self.device))?;
        profile.table(&self.peak).lines().try_for_each(|line| sinks.note(line))?;
        sinks.note(&format!(
            "{:.3} ms a step, {:.3} ms of it in kernels; {}",
            1e3 * took.as_secs_f64() / steps as f64,
            1e3 * profile.seconds() / steps as f64,
            host.since(&host_before)
        ))?;
        let trace = serde_json::to_vec(&profile.trace(&self.device)).expect("numbers and names are always JSON");
        files::replace(&self.folder.join(TRACE), &trace)?;
        sinks.note(&format!("open {} in ui.perfetto.dev", self.folder.join(TRACE).display()))?;
        Ok(true)
    }
}

/// The host's time for some steps.
#[derive(Clone, Copy, Default)]
pub struct HostTime {
    steps: u64,
    /// Time not spent waiting for the device.
    working: Duration,
    waiting: Duration,
}

impl HostTime {
    /// Adds a step that began at `start`, when the executor had waited for `waited` in all.
    pub fn step(&mut self, start: Instant, waited: Duration, executor: &dyn Executor) {
        let waiting = executor.waited().saturating_sub(waited);
        self.steps += 1;
        self.waiting += waiting;
        self.working += start.elapsed().saturating_sub(waiting);
    }

    fn since(&self, before: &HostTime) -> HostTime {
        HostTime {
            steps: self.steps - before.steps,
            working: self.working - before.working,
            waiting: self.waiting - before.waiting,
        }
    }
}

impl std::fmt::Display for HostTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let a_step = |time: Duration| 1e3 * time.as_secs_f64() / self.steps.max(1) as f64;
        let (working, waiting) = (a_step(self.working), a_step(self.waiting));
        write!(f, "the host worked {working:.3} ms a step and waited {waiting:.3} ms for the device")
    }
}
