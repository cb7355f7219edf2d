//! `cloze devices`

/// List what there is to train on: GPUs by number, and the CPU
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`cloze devices` is not part of this build")
}
