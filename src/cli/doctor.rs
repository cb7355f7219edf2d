//! `cloze doctor`

use super::{output, remedies};
use crate::device::DeviceChoice;
use crate::doctor::report::Report;
use crate::doctor::{every_device, examine};
use std::io::Write;

/// Check that this machine computes what it should, before it is trusted with a long training
///
/// Every kernel is compared with its twin on the CPU, a small model with what PyTorch computed, and a training with its
/// repetition. Memory, bandwidth and arithmetic are measured beside. A variant of a kernel that fails is passed over from
/// now on. Exits with 1 when anything failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze doctor                every GPU, and the CPU
  cloze doctor --device cpu
  cloze doctor --json | jq '.devices[].speed'")]
pub struct Args {
    /// Check one device alone: auto, cpu, gpu, or a number or part of a name that `cloze devices` lists
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
