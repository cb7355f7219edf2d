//! `cloze import`: makes a model of Cloze from one of Hugging Face transformers.

use super::output;
use crate::checkpoint::SavedModel;
use crate::data::Masking;
use crate::hf::save::{SaveOptions, save};
use crate::hf::{Family, HfModel};
use crate::tasks;
use crate::train::interrupt;
use std::io::Write;
use std::path::PathBuf;

/// Import a model that Hugging Face transformers saved
///
/// Takes BERT, RoBERTa and ModernBERT models: config.json, model.safetensors or its shards, and the tokenizer as
/// tokenizer.json, vocab.txt, or vocab.json and merges.txt. OUT is a folder that every command of Cloze, and transformers,
/// can read; to train from it, set model.init.
///
/// Importing is optional: commands also read such a folder where it is. An encoder that was saved without its
/// masked-language-model head gets a newly initialised one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze import ~/models/bert-base-uncased bert
  cloze fill-mask bert \"The capital of France is [MASK].\"
  cloze train configs/bert-base.toml --set model.init=bert")]
pub struct Args {
    /// The folder that transformers saved
    #[arg(value_name = "HF_DIR")]
    pub from: PathBuf,

    /// The folder to make
    pub out: PathBuf,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    interrupt::install()?;
    anyhow::ensure!(
        args.from.join("config.json").is_file(),
        "{}: holds no config.json; name a folder as transformers saves it (a run is read by every command as it is)",
        args.from.display()
    );
    if args.from.join("modules.json").exists() {
        log::warn!(
            "{}: modules.json is left behind, which says how vectors of texts are pooled; `cloze embed` obeys it there",
            args.from.display()
        );
    }
    let model = SavedModel::from_hugging_face(&HfModel::open(&args.from)?)?;
    model.warn_if_headless();
    let task = model.task(Masking::default());
    save(&args.out, &*task, &model.tokenizer, model.values(), SaveOptions::default(), &interrupt::flag())?;
    let family = Family::of(&model.config).map_or("cloze", Family::model_type);
    let parameters: usize = tasks::parameters(&*task).iter().map(|parameter| parameter.count()).sum();
    let tokens = model.config.vocab_size;
    writeln!(output::stdout(), "{}: {family}, {parameters} parameters, vocabulary of {tokens}", args.out.display())?;
    Ok(())
}
