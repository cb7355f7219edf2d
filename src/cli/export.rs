//! `cloze export`: writes a model of Cloze as transformers reads it.

use super::choices::choice;
use super::output;
use crate::checkpoint::SavedModel;
use crate::data::Masking;
use crate::hf::save::{SaveOptions, save};
use crate::hf::{WeightsDtype, write};
use crate::train::interrupt;
use std::io::Write;
use std::path::PathBuf;

/// Write a model for Hugging Face transformers
///
/// OUT gets config.json, model.safetensors, tokenizer.json, tokenizer_config.json and special_tokens_map.json, which
/// transformers 4 and 5 read: AutoModelForMaskedLM.from_pretrained(OUT). If no family of transformers (BERT, RoBERTa,
/// ModernBERT) can express the model, it is refused, and the keys of its config that are the reason are named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze export runs/tiny tiny-hf
  cloze export runs/tiny/checkpoints/step-000500 tiny-hf --dtype bf16
  cloze export runs/large large-hf --max-shard-size 5GB")]
pub struct Args {
    /// Folder of a run, of a checkpoint, or of an imported model. From a run the best checkpoint is taken, or the newest if
    /// it was not validated yet
    pub model: PathBuf,

    /// The folder to make
    pub out: PathBuf,

    /// The number format of the weights; Cloze itself keeps them in f32
    #[arg(long, value_parser = choice::<WeightsDtype>(), default_value = "f32")]
    pub dtype: WeightsDtype,

    /// Largest weights file, such as 5GB or 200MB; a larger model is split into shards with an index [default: one file]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_shard_size: Option<u64>,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    interrupt::install()?;
    let model = SavedModel::open_with_head(&args.model)?;
    let task = model.task(Masking::default());
    let family = write::family(&*task, &model.tokenizer).map_err(|misfits| {
        let folder = args.model.display();
        anyhow::anyhow!("{folder}: no family of transformers computes this model: {misfits}")
    })?;
    let options = SaveOptions { precision: args.dtype, max_shard: args.max_shard_size.unwrap_or(u64::MAX) };
    save(&args.out, &*task, &model.tokenizer, model.values(), options, &interrupt::flag())?;
    writeln!(output::stdout(), "{}: {} from {}", args.out.display(), family.model_type(), model.path().display())?;
    Ok(())
}

/// Reads `200MB`, `5GB`, or a bare number of bytes. Units are decimal, as in transformers.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("", 1)];
    let upper = text.trim().to_ascii_uppercase();
    let parsed = units.iter().find_map(|(unit, bytes)| {
        let number: u64 = upper.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*bytes)
    });
    parsed
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| "it is a number of bytes above 0, such as 5GB, 200MB or 100000".into())
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes() {
        for (text, bytes) in [("5GB", 5_000_000_000), ("200 mb", 200_000_000), ("7kb", 7000), ("12", 12)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "GB", "1.5GB", "-1", "99999999999999GB", "5TB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
