//! `cloze fill-mask`

use crate::exec::choice::DeviceChoice;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Guess the masked words of a text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze fill-mask runs/quickstart \"It is a [MASK] universally acknowledged.\"
  cloze fill-mask runs/quickstart --top-k 10 --json < sentences.txt")]
pub struct Args {
    /// The folder of a run, of which the best checkpoint is taken, or of a checkpoint
    pub model: PathBuf,

    /// The text, with the tokenizer's mask token where a word is to be guessed; without it, lines are read from stdin
    pub text: Option<String>,

    /// How many guesses to show for a mask
    #[arg(long, default_value = "5", value_name = "K")]
    pub top_k: NonZeroUsize,

    /// Where to compute: auto, cpu, gpu, or a number that `cloze devices` lists
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Print a line of JSON a text
    #[arg(long)]
    pub json: bool,
}

pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`cloze fill-mask` is not part of this build")
}
