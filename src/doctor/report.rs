//! The report of `cloze doctor`, as a table and as JSON. The field names stay the same from version to version. A number
//! that is not finite is `null`.

use super::limits::Limits;
use crate::Remedy;
use crate::device::DeviceChoice;
use crate::device::parity::Finding;
use crate::exec::Speed;
use crate::kernels::Precision;
use serde::Serialize;
use std::fmt;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of Cloze.
    pub version: &'static str,
    pub passed: bool,
    pub devices: Vec<Examination>,
}

/// What was found on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// The choice of the device, as on the command line.
    pub device: String,
    /// Name, driver, features and kernel variants in use.
    pub description: String,
    pub passed: bool,
    /// Every variant of every kernel against its twin; empty for the CPU, which runs the twins themselves.
    pub kernels: Vec<Finding>,
    /// How many shapes of launches have a measured fastest variant. Others run a preset variant until a training measures them.
    /// `null` on the CPU.
    pub measured_shapes: Option<usize>,
    /// A small model against what PyTorch computed.
    pub golden: Vec<Check>,
    /// The same training twice.
    pub repeat: Option<Check>,
    pub limits: Option<Limits>,
    pub speed: Option<Speed>,
    /// What stopped the examination.
    pub problems: Vec<String>,
    /// What may help against it.
    pub remedy: Option<Remedy>,
}

/// An error that was measured, and how large it may be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub what: String,
    pub error: f64,
    pub allowed: f64,
    pub passed: bool,
    pub problems: Vec<String>,
}

impl Check {
    pub fn within(what: String, error: f64, allowed: f64) -> Check {
        let passed = error <= allowed;
        let problems = if passed { vec![] } else { vec![format!("off by {error:.2e}, allowed is {allowed:.0e}")] };
        Check { what, error, allowed, passed, problems }
    }
}

impl Report {
    pub fn new(devices: Vec<Examination>) -> Report {
        let passed = devices.iter().all(|device| device.passed);
        Report { version: env!("CARGO_PKG_VERSION"), passed, devices }
    }

    /// How many kernels and checks failed.
    pub fn failures(&self) -> usize {
        self.devices.iter().map(Examination::failures).sum()
    }
}

impl Examination {
    pub(super) fn new(choice: &DeviceChoice) -> Examination {
        Examination {
            device: choice.to_string(),
            description: String::new(),
            passed: false,
            kernels: Vec::new(),
            measured_shapes: None,
            golden: Vec::new(),
            repeat: None,
            limits: None,
            speed: None,
            problems: Vec::new(),
            remedy: None,
        }
    }

    pub fn failures(&self) -> usize {
        let kernels = self.kernels.iter().filter(|finding| !finding.passed).count();
        let checks = self.golden.iter().chain(&self.repeat).filter(|check| !check.passed).count();
        kernels + checks + self.problems.len()
    }
}

/// One line per kernel and variant, then one line per check.
impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.device, self.description)?;
        if !self.kernels.is_empty() {
            writeln!(f, "  {:<48}{:>7}  {:>15}", "kernel, variant", "trials", "error / allowed")?;
        }
        for finding in &self.kernels {
            let half = if finding.precision == Precision::F16 { " f16" } else { "" };
            let name = format!("{} {}{half}", finding.kernel, finding.variant);
            let status = status(finding.passed);
            writeln!(f, "  {name:<48}{:>7}  {:>15.3}  {status}", finding.trials, finding.worst)?;
            problems(f, &finding.problems)?;
        }
        if let Some(count) = self.measured_shapes {
            writeln!(
                f,
                "  the fastest variant is measured at {count} shapes; others run by design until a training measures them"
            )?;
        }
        for check in self.golden.iter().chain(&self.repeat) {
            let figures = format!("{} / {}", figure(check.error), figure(check.allowed));
            writeln!(f, "  {:<55}  {figures:>15}  {}", check.what, status(check.passed))?;
            problems(f, &check.problems)?;
        }
        if let Some(limits) = &self.limits {
            writeln!(f, "  {limits}")?;
        }
        if let Some(Speed { bytes_per_second, flops_per_second }) = self.speed {
            let (copied, computed) = (bytes_per_second / 1e9, flops_per_second / 1e9);
            writeln!(f, "  copies {copied:.1} GB/s, computes {computed:.1} GFLOP/s (f32 multiply-add)")?;
        }
        problems(f, &self.problems)?;
        writeln!(f, "  {}", if self.passed { "all passed" } else { "FAILED" })
    }
}

fn figure(error: f64) -> String {
    if error == error.round() { error.to_string() } else { format!("{error:.0e}") }
}

fn status(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAILED" }
}

/// Shows the first few problems, since a kernel that is broken has one for each trial.
fn problems(f: &mut fmt::Formatter<'_>, problems: &[String]) -> fmt::Result {
    const SHOWN: usize = 2;
    problems.iter().take(SHOWN).try_for_each(|problem| writeln!(f, "      {problem}"))?;
    match problems.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(f, "      and {more} more, which are in the JSON report"),
    }
}
