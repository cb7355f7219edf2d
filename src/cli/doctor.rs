//! `cloze doctor`

use super::{output, remedies};
use crate::device::DeviceChoice;
use crate::doctor::report::Report;
use crate::doctor::{every_device, examine};
use std::io::Write;

/// Check that this machine computes correctly, before you trust it with a long training
///
/// Every kernel is compared with its CPU twin (the same computation in native Rust), a small model with the results of
/// PyTorch, and a training with a repetition of itself. Memory, bandwidth and arithmetic speed are measured too. A variant
/// of a kernel that fails is not used from now on. Exits with 1 if anything failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze doctor                every GPU, and the CPU
  cloze doctor --device cpu
  cloze doctor --json | jq '.devices[].speed'")]
pub struct Args {
    /// Check only one device: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceChoice>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let mut out = output::stdout();
    let mut examinations = Vec::new();
    for choice in args.device.map_or_else(every_device, |choice| Ok(vec![choice]))? {
        let examination = examine(&choice);
        if !args.json {
            writeln!(out, "{examination}")?;
            if let Some(remedy) = examination.remedy {
                writeln!(out, "  {}", remedies::line(remedy))?;
            }
        }
        examinations.push(examination);
    }
    let report = Report::new(examinations);
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    }
    anyhow::ensure!(report.passed, "{} of the checks failed", report.failures());
    Ok(())
}
