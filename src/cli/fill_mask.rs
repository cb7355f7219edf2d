//! `cloze fill-mask`

use crate::checkpoint::SavedModel;
use crate::data::Tokenizer;
use crate::device::{Device, DeviceChoice};
use crate::model::{Filler, Guess};
use anyhow::Context;
use serde::Serialize;
use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Guess the masked words of a text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze fill-mask runs/quickstart \"It is a [MASK] universally acknowledged.\"
  cloze fill-mask runs/quickstart --top-k 10 --json < sentences.txt")]
pub struct Args {
    /// The folder of a run, of which the best checkpoint is taken; of a checkpoint; or of a model as transformers saves it
    pub model: PathBuf,

    /// The text, with the tokenizer's mask token where a word is to be guessed; without it, lines are read from stdin
    pub text: Option<String>,

    /// How many guesses to show for a mask
    #[arg(long, default_value = "5", value_name = "K")]
    pub top_k: NonZeroUsize,

    /// Where to compute: auto, cpu, gpu, or a number or part of a name that `cloze devices` lists
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Print a line of JSON a text, as transformers' fill-mask pipeline gives it
    #[arg(long)]
    pub json: bool,
}

/// A guess as transformers' fill-mask pipeline names its parts.
#[derive(Serialize)]
struct Candidate {
    score: f32,
    token: u32,
    token_str: String,
    sequence: String,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let model = SavedModel::open_with_head(&args.model)?;
    let device = Device::open(&args.device)?;
    log::debug!("device: {}", device.describe());
    let mut filler = Filler::new(&model.config, &device, model.values());
    let mut fill = |text: &str| -> anyhow::Result<()> {
        let filled = candidates(&model, &mut filler, text, args.top_k.get())?;
        print(&filled, args.json)
    };
    match &args.text {
        Some(text) => fill(text),
        None => {
            for (number, line) in std::io::stdin().lock().lines().enumerate() {
                let line = line.context("standard input")?;
                if !line.trim().is_empty() {
                    fill(&line).with_context(|| format!("line {} of standard input", number + 1))?;
                }
            }
            Ok(())
        }
    }
}

/// The candidates for each mask of a text.
fn candidates(model: &SavedModel, filler: &mut Filler, text: &str, k: usize) -> anyhow::Result<Vec<Vec<Candidate>>> {
    let tokenizer = &model.tokenizer;
    let (mask, pad) = (tokenizer.specials().mask, tokenizer.specials().pad);
    let ids = tokenizer.encode(text, true)?;
    let most = model.config.max_positions;
    anyhow::ensure!(ids.len() <= most, "the text has {} tokens, and the model takes at most {most}", ids.len());
    let masked: Vec<u32> = (0..ids.len() as u32).filter(|&position| ids[position as usize] == mask).collect();
    anyhow::ensure!(
        !masked.is_empty(),
        "the text has no mask; write {} where a word is to be guessed",
        tokenizer.token(mask).unwrap_or_default()
    );
    let guesses = filler.guess(&ids, &masked, pad, k)?;
    // The pipeline leaves the special tokens out where there is one mask, so that the others stay to be seen.
    let candidate = |position: u32, guess: Guess| candidate(tokenizer, &ids, position, guess, masked.len() == 1);
    let of_mask = |(&position, guesses): (&u32, Vec<Guess>)| {
        guesses.into_iter().map(|guess| candidate(position, guess)).collect::<crate::Result<Vec<_>>>()
    };
    Ok(masked.iter().zip(guesses).map(of_mask).collect::<crate::Result<_>>()?)
}

fn candidate(
    tokenizer: &Tokenizer,
    ids: &[u32],
    position: u32,
    guess: Guess,
    skip_specials: bool,
) -> crate::Result<Candidate> {
    let mut filled = ids.to_vec();
    filled[position as usize] = guess.token;
    Ok(Candidate {
        score: guess.score,
        token: guess.token,
        token_str: tokenizer.decode(&[guess.token], false)?,
        sequence: tokenizer.decode(&filled, skip_specials)?,
    })
}

fn print(masks: &[Vec<Candidate>], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match (json, masks) {
        (true, [only]) => writeln!(out, "{}", serde_json::to_string(only)?)?,
        (true, masks) => writeln!(out, "{}", serde_json::to_string(masks)?)?,
        (false, masks) => {
            for (number, candidates) in masks.iter().enumerate() {
                if masks.len() > 1 {
                    writeln!(out, "mask {}", number + 1)?;
                }
                for candidate in candidates {
                    writeln!(
                        out,
                        "{:6.2} %  {:<16}  {}",
                        100.0 * candidate.score,
                        candidate.token_str,
                        candidate.sequence
                    )?;
                }
            }
        }
    }
    Ok(())
}
