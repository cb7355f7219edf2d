//! `cloze train`

use super::output;
use super::plan;
use super::progress::{Progress, others};
use crate::checkpoint::TrainingState;
use crate::config::Config;
use crate::device::{Device, DeviceChoice};
use crate::train::recovery::Trained;
use crate::train::{Outcome, Recovery, RunDir, Sink, Trainer, interrupt, planning};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Train a model, or resume a training that was interrupted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze train configs/quickstart.toml --set train.steps=500
  cloze train configs/tiny.toml --set data.train='[\"my/*.txt\"]' --out runs/mine
  cloze train configs/bert-base.toml --set model.init=bert-base-uncased    start from an existing model
  cloze train configs/bert-base.toml --plan --set train.micro_batch=32     estimate memory and time
  cloze train runs/mine/config.toml --out runs/mine --resume

Ctrl-C, SIGTERM or a closed terminal stops after the current step and saves a checkpoint; a second signal stops at once.")]
pub struct Args {
    /// The config file (TOML); configs/ has examples
    pub config: PathBuf,

    /// Override a key of the config, such as train.steps=500; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,

    /// Device to compute on: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// The folder of the run [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Continue from the run's latest checkpoint. The config.toml in the run's folder has its settings
    #[arg(long)]
    pub resume: bool,

    /// Time every kernel over some steps [default: 10], print where the time goes, and write profile.json, a trace for
    /// ui.perfetto.dev, into the run's folder
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "10",
        value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub profile: Option<u64>,

    /// Print the memory and the time per step that the training needs, for each train.recompute, without training
    #[arg(long, conflicts_with_all = ["resume", "out"])]
    pub plan: bool,

    /// Print the plan as JSON
    #[arg(long, requires = "plan")]
    pub json: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    interrupt::install()?;
    let config = Config::load(&args.config, &args.sets)?;
    if args.plan {
        return plan::print(&config, &Device::open_for(&args.device, &planning::sizes(&config))?, args.json);
    }
    let path = args.out.unwrap_or_else(|| Path::new("runs").join(&config.name));
    let mut recovery = Recovery::new(&args.device, &config);
    let device = recovery.open(&config)?;
    let run = RunDir::create(&path, args.resume)?;
    let run_config = run.config();
    let (steps, log_every) = (config.train.steps, config.train.log_every);
    let progress = |state: &TrainingState| -> Vec<Box<dyn Sink>> {
        vec![Box::new(Progress::new(steps, (state.step, state.tokens), log_every))]
    };
    let Trained { trainer, outcome, done_before } =
        recovery.train(config, &run, device, args.resume, args.profile, &progress)?;
    match outcome {
        Outcome::Finished => finished(&trainer, &path, done_before),
        Outcome::Interrupted => {
            log::warn!(
                "stopped after step {} and saved a checkpoint; go on with: cloze train {} --out {} --device {} --resume",
                trainer.steps_done(),
                run_config.display(),
                path.display(),
                args.device
            );
            Ok(())
        }
    }
}

/// Prints the closing lines: how good the model is, and how to try it.
fn finished(trainer: &Trainer, path: &Path, done_before: u64) -> anyhow::Result<()> {
    let mut out = output::stdout();
    match trainer.last_validation() {
        None if trainer.steps_done() > done_before => {
            writeln!(out, "no held-out loss: no token of the validation part can be masked")?;
        }
        None => writeln!(out, "{} had reached its last step already", path.display())?,
        Some(validation) => writeln!(
            out,
            "held-out loss {:.4} (unigram frequencies alone: {:.4}), perplexity {:.2}, accuracy {:.1} %{}",
            validation.cross_entropy,
            validation.unigram_cross_entropy,
            validation.perplexity,
            100.0 * validation.accuracy,
            others(validation),
        )?,
    }
    writeln!(out, "try it: cloze fill-mask {} \"The {} was dark.\"", path.display(), trainer.mask_token())?;
    Ok(())
}
