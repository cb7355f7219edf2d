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
/// A step is what it is in `cloze train`: batches made by the loader, forward, backward, clipping, AdamW. It needs no text
/// and no tokenizer, and writes nothing. Two steps go first; then each is timed by itself, to where its metrics have come
/// back from the device, and the median is what counts. The peak that mfu is a share of is measured afterwards, on the
/// same device.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze bench train configs/tiny-bert.toml
  cloze bench train configs/bert-base.toml --set train.batch_size=32 --set train.micro_batch=32 --device gpu
  cloze bench train configs/base-bert.toml --json | jq .tokens_per_second")]
pub struct Args {
    /// The config file; see configs/
    pub config: PathBuf,

    /// Set a key of the config, such as model.layers=4; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,

    /// Where to compute: auto, cpu, gpu, or a number or part of a name that `cloze devices` lists
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Steps to time
    #[arg(long, default_value = "10", value_name = "N")]
    pub steps: NonZeroU32,

    /// Show where the time of some further steps goes, kernel by kernel
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
