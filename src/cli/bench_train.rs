//! `cloze bench train`

use super::output;
use crate::bench::{StepReport, TrainingBench};
use crate::config::Config;
use crate::device::DeviceChoice;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Time whole training steps of a config's model on random tokens
///
/// A step is the same as in `cloze train`: the loader makes the batches, then come forward, backward, gradient clipping and
/// the optimiser. No text and no tokenizer are needed, and nothing is written. After two steps of warm-up each step is timed
/// until its metrics are back from the device, and the median is reported. The model FLOPs utilisation (mfu) is relative to
/// the device's f32 peak, which is measured afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze bench train configs/tiny-bert.toml
  cloze bench train configs/bert-base.toml --set train.batch_size=32 --set train.micro_batch=32 --device gpu
  cloze bench train configs/base-bert.toml --json | jq .tokens_per_second")]
pub struct Args {
    /// The config file (TOML); configs/ has examples
    pub config: PathBuf,

    /// Override a key of the config, such as model.layers=4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,

    /// Device to compute on: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Steps to time
    #[arg(long, default_value = "10", value_name = "N")]
    pub steps: NonZeroU32,

    /// Profile a few more steps, and print the time of each kernel
    #[arg(long)]
    pub profile: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config, &args.sets)?;
    let report = TrainingBench::new(config, &args.device)?.run(args.steps.get().into(), args.profile)?;
    print(&report, args.json)
}

fn print(report: &StepReport, json: bool) -> anyhow::Result<()> {
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}
