//! `cloze bench`: times kernels one by one, or whole training steps.

use super::{bench_kernels, bench_train};
use clap::Subcommand;

/// Measure how fast this machine computes: each kernel, or whole training steps
///
/// Without `train`, times every variant of the chosen kernels that can compute the shape on this device and gives correct
/// results. It prints the median of several runs (on a GPU each run is many launches), and the spread, which is how far
/// apart the middle half of the runs is. Speeds are also given as shares of the device's peak in copying and in f32
/// multiply-adds, which is measured first.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  cloze bench --device gpu
  cloze bench matmul_nt matmul_tn --shape m=4096,n=4096,k=4096 --device gpu
  cloze bench matmul_nt --shape m=4096,n=4096,k=4096 --precision f16 --variant cooperative --device gpu
  cloze bench attention attention_backward --shape bert-base,batch=32,sequence=512 --device gpu
  cloze bench attention --shape bert-base --device cpu --json
  cloze bench --emit shaders --shape bert-base,batch=32
  cloze bench train configs/tiny-bert.toml"
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    kernels: bench_kernels::Args,
}

#[derive(Debug, Subcommand)]
enum What {
    Train(bench_train::Args),
}

pub fn run(args: Args) -> anyhow::Result<()> {
    match args.what {
        Some(What::Train(args)) => bench_train::run(args),
        None => bench_kernels::run(args.kernels),
    }
}
