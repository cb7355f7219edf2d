//! The command line. Each command has one file, with its `Args` and its `run`.

mod bars;
mod bench;
mod bench_kernels;
mod bench_train;
mod choices;
mod completions;
mod devices;
mod doctor;
mod embed;
mod eval;
mod export;
mod fill_mask;
mod import;
mod logging;
pub mod output;
mod plan;
mod prepare;
mod progress;
mod remedies;
pub mod renamed;
mod threads;
mod tokenizer;
mod train;
mod vectors;

use crate::exec::gpu::watchdog;
use clap::{ArgAction, Parser, Subcommand};

/// Train masked language models on any GPU or on the CPU, and use them
#[derive(Debug, Parser)]
#[command(name = "cloze", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log more: -v for details, -vv for everything. RUST_LOG selects by module
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Log less: -q for warnings and errors only, -qq for errors only
    #[arg(short, long, global = true, action = ArgAction::Count)]
    quiet: u8,
}

const EXAMPLES: &str = "\
Examples:
  cloze train configs/quickstart.toml                     train a first model
  cloze fill-mask runs/quickstart \"It was a [MASK] day.\"  fill a mask with it
  cloze eval runs/quickstart my/test.txt                  measure it on other text
  cloze export runs/quickstart quickstart-hf              write it for Hugging Face transformers
  cloze devices                                           list the GPUs, and the CPU";

#[derive(Debug, Subcommand)]
enum Command {
    Devices(devices::Args),
    Doctor(doctor::Args),
    Tokenizer(tokenizer::Args),
    Prepare(prepare::Args),
    Train(train::Args),
    Eval(eval::Args),
    FillMask(fill_mask::Args),
    Embed(embed::Args),
    Import(import::Args),
    Export(export::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever made the command fail, for `main` to print.
    pub fn run(self) -> anyhow::Result<()> {
        logging::start(self.verbose, self.quiet);
        renamed::notes().iter().for_each(|note| log::warn!("{note}"));
        bars::show();
        watchdog::tell_by(|error| output::complain(&format!("error: {}", remedies::told(error))));
        threads::start()?;
        match self.command {
            Command::Devices(args) => devices::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Tokenizer(args) => tokenizer::run(args),
            Command::Prepare(args) => prepare::run(args),
            Command::Train(args) => train::run(args),
            Command::Eval(args) => eval::run(args),
            Command::FillMask(args) => fill_mask::run(args),
            Command::Embed(args) => embed::run(args),
            Command::Import(args) => import::run(args),
            Command::Export(args) => export::run(args),
            Command::Bench(args) => bench::run(args),
            Command::Completions(args) => completions::run(args),
        }
    }
}

/// What `main` prints for an error: the error, then its causes, without those that the line before already contains. A remedy
/// that the library suggests is put into the words of the command line.
pub fn describe(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        if lines.last().is_none_or(|last| !last.contains(&cause.to_string())) {
            lines.push(cause.downcast_ref().map_or_else(|| cause.to_string(), remedies::told));
        }
    }
    format!("error: {}", lines.join("\n  because: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Remedy};
    use anyhow::Context;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_told_once() {
        let missing = Error::io("a.toml")(std::io::Error::from(std::io::ErrorKind::NotFound));
        let error = Err::<(), _>(missing).context("cannot start").unwrap_err();
        assert_eq!(describe(&error), "error: cannot start\n  because: a.toml: entity not found; check the path");
    }

    #[test]
    fn a_cause_is_told_with_its_remedy() {
        let taken = Error::file("data", "prepared data is here already").with(Remedy::Overwrite);
        let error = Err::<(), _>(taken).context("cannot start").unwrap_err();
        let cause = "data: prepared data is here already; replace it by --overwrite";
        assert_eq!(describe(&error), format!("error: cannot start\n  because: {cause}"));
    }
}
