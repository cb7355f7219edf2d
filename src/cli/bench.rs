//! `cloze bench`: kernels one by one, or whole training steps.

use super::{bench_kernels, bench_train};
use clap::Subcommand;

/// Measure how fast this machine computes: each kernel, or whole training steps
///
/// Without `train`, every variant of the chosen kernels that computes the shape here, and rightly, is timed: the median of
/// several runs, which on a GPU are of many launches, and how far the middle half of them lies apart. The peaks that a kernel's
/// speed is a share of, of copying and of multiply-adds in f32, are measured on the same device before.
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
