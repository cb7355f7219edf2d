//! `cloze eval`

use crate::exec::choice::DeviceChoice;
use std::path::PathBuf;

/// Measure how well a model guesses the masked tokens of a text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze eval runs/quickstart my/test.txt
  cloze eval runs/quickstart/checkpoints/step-000500 my/test.txt --json")]
pub struct Args {
    /// The folder of a run, of which the best checkpoint is taken, or of a checkpoint
    pub model: PathBuf,

    /// Text files, folders or patterns; or a folder made by `cloze prepare`, of which the validation part is taken
    #[arg(required = true)]
    pub data: Vec<PathBuf>,

    /// Where to compute: auto, cpu, gpu, or a number that `cloze devices` lists
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`cloze eval` is not part of this build")
}
