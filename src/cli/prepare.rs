//! `cloze prepare`

/// Placeholder until the data branch is merged, whose file of the same name wins
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("`cloze prepare` is not part of this build")
}
