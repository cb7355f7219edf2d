//! `cloze fill-mask`

use super::output;
use crate::checkpoint::SavedModel;
use crate::data::{Texts, Tokenizer};
use crate::device::{Device, DeviceChoice};
use crate::tasks::{Filler, Guess};
use anyhow::Context;
use serde::Serialize;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Guess the masked words in a text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze fill-mask runs/quickstart \"It is a [MASK] universally acknowledged.\"
  cloze fill-mask runs/quickstart --top-k 10 --json < sentences.txt")]
pub struct Args {
    /// Folder of a run, of a checkpoint, or of a model that transformers saved. From a run the best checkpoint is taken, or
    /// the newest if it was not validated yet
    pub model: PathBuf,

    /// The text, with the tokenizer's mask token, such as [MASK], for each word to guess. Without TEXT, lines are read from
    /// standard input; a line that can't be filled is reported and skipped
    pub text: Option<String>,

    /// How many guesses to show for each mask
    #[arg(long, default_value = "5", value_name = "K")]
    pub top_k: NonZeroUsize,

    /// Device to compute on: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Print one line of JSON per text, in the form of transformers' fill-mask pipeline
    #[arg(long)]
    pub json: bool,
}

/// A guess, with the field names of transformers' fill-mask pipeline.
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
    let k = args.top_k.get();
    match &args.text {
        Some(text) => {
            let masked = Masked::new(&model, text)?;
            print(&masked.candidates(&model.tokenizer, &mut filler, k)?, args.json)
        }
        None => fill_lines(&model, &mut filler, k, args.json),
    }
}

/// Fills the lines of standard input. A line that can't be filled is reported, and the lines after it are still filled.
fn fill_lines(model: &SavedModel, filler: &mut Filler, k: usize, json: bool) -> anyhow::Result<()> {
    let mut lines = Texts::open(&[])?;
    let (mut number, mut count, mut refused) = (0, 0, 0);
    while let Some(line) = lines.next().transpose()? {
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        count += 1;
        match Masked::new(model, &line) {
            Ok(masked) => {
                let candidates = masked.candidates(&model.tokenizer, filler, k);
                print(&candidates.with_context(|| format!("line {number} of standard input"))?, json)?;
            }
            Err(error) => {
                refused += 1;
                log::error!("line {number} of standard input: {error}");
            }
        }
    }
    anyhow::ensure!(refused == 0, "{refused} of {count} lines of standard input were not filled");
    Ok(())
}

/// A text's tokens and the positions of its masks.
struct Masked {
    ids: Vec<u32>,
    masks: Vec<u32>,
    pad: u32,
}

impl Masked {
    /// # Errors
    /// The text has no mask, or more tokens than the model takes.
    fn new(model: &SavedModel, text: &str) -> anyhow::Result<Masked> {
        let (tokenizer, most) = (&model.tokenizer, model.config.max_positions);
        // A text that is far too long is tokenised only as far as the limit, in little memory.
        let (_, longer) = tokenizer.encode_start(text, most)?;
        let ids = if longer { Vec::new() } else { tokenizer.encode(text, true)? };
        let fits = !longer && ids.len() <= most;
        anyhow::ensure!(fits, "the text has more than the {most} tokens that the model takes at most; shorten it");
        let specials = tokenizer.specials();
        let masks: Vec<u32> =
            (0..ids.len() as u32).filter(|&position| ids[position as usize] == specials.mask).collect();
        anyhow::ensure!(
            !masks.is_empty(),
            "the text has no mask; write {} where a word is to be guessed",
            tokenizer.token(specials.mask).unwrap_or_default()
        );
        Ok(Masked { ids, masks, pad: specials.pad })
    }

    /// The candidates for each mask.
    fn candidates(&self, tokenizer: &Tokenizer, filler: &mut Filler, k: usize) -> anyhow::Result<Vec<Vec<Candidate>>> {
        let guesses = filler.guess(&self.ids, &self.masks, self.pad, k)?;
        // As the pipeline does: special tokens are left out with one mask; with several they stay, to show the other masks.
        let skip = self.masks.len() == 1;
        let of_mask = |(&position, guesses): (&u32, Vec<Guess>)| {
            let candidate = |guess: Guess| candidate(tokenizer, &self.ids, position, guess, skip);
            guesses.into_iter().map(candidate).collect::<crate::Result<Vec<_>>>()
        };
        Ok(self.masks.iter().zip(guesses).map(of_mask).collect::<crate::Result<_>>()?)
    }
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
    let mut out = output::stdout();
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
