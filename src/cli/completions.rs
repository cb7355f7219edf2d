//! `cloze completions`

use super::Cli;
use super::output;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Print a script that completes cloze's commands and options in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cloze completions bash > ~/.local/share/bash-completion/completions/cloze")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    // By way of memory: clap_complete panics when the reader of a pipe has gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cloze", &mut script);
    Ok(output::stdout().write_all(&script)?)
}
