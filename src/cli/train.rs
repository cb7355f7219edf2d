//! `cloze train`

use crate::exec::choice::DeviceChoice;
use std::path::PathBuf;

/// Train a model, or go on with a training that was interrupted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze train configs/quickstart.toml --set train.steps=500
  cloze train configs/tiny.toml --set data.train='[\"my/*.txt\"]' --out runs/mine
  cloze train configs/tiny.toml --out runs/mine --resume

Ctrl-C stops after the step at hand and saves a checkpoint; a second one stops at once.")]
pub struct Args {
    /// The config file; see configs/
    pub config: PathBuf,

    /// Set a key of the config, such as train.steps=500; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,

    /// Where to compute: auto, cpu, gpu, or a number that `cloze devices` lists
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// The folder of the run [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Go on from the run's latest checkpoint
    #[arg(long)]
    pub resume: bool,
}

pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`cloze train` is not part of this build")
}
