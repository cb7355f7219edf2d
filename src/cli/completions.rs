//! `cloze completions`

use super::Cli;
use super::output;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cloze completions bash > ~/.local/share/bash-completion/completions/cloze")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    // It is made in memory first, since clap_complete panics when the reader of a pipe has gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cloze", &mut script);
    Ok(output::stdout().write_all(&script)?)
}
