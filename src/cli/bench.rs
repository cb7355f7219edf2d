//! `cloze bench`

use super::bench_train;
use clap::Subcommand;

/// Measure how fast this machine trains
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Train(bench_train::Args),
}

pub fn run(args: Args) -> anyhow::Result<()> {
    match args.what {
        What::Train(args) => bench_train::run(args),
    }
}
