//! From the text that a config names to prepared data, made when it is missing.

use super::durable;
use crate::Result;
use crate::config::Config;
use crate::data::{Corpus, CorpusOptions, PrepareOptions, Prepared, Tokenizer, Validation, prepare};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The settings that prepared data came from, beside it: `train` prepares again when they change.
const SETTINGS: &str = "data.settings";

/// The prepared data of a run: the folder that the config names, or `data` in the run's own, which is made from raw text
/// unless it is there already. `stop` becoming true interrupts the making, which leaves nothing behind.
///
/// # Errors
/// What the tokenizer, the corpus or the prepared folder refuse.
pub fn prepared_data(config: &Config, run: &Path, stop: &Arc<AtomicBool>) -> Result<Prepared> {
    if let Some(folder) = &config.data.prepared {
        return Prepared::open(folder);
    }
    let folder = run.join("data");
    let settings = settings(config);
    let same = std::fs::read_to_string(run.join(SETTINGS)).is_ok_and(|kept| kept == settings);
    if !(same && folder.is_dir()) {
        let options = PrepareOptions {
            corpus: corpus_options(config),
            validation: match config.data.validation.is_empty() {
                true => Validation::Fraction(config.data.validation_fraction),
                false => Validation::Files(paths(&config.data.validation)),
            },
            overwrite: true,
            stop: stop.clone(),
            ..Default::default()
        };
        let tokenizer = tokenizer(config)?;
        prepare(&tokenizer, &paths(&config.data.train), &options, &folder)?;
        durable::replace(run, SETTINGS, settings.as_bytes())?;
    }
    Prepared::open(&folder)
}

/// The config's tokenizer: read from a file, or trained on the training text.
fn tokenizer(config: &Config) -> Result<Tokenizer> {
    if let Some(file) = &config.tokenizer.file {
        return Tokenizer::load(file);
    }
    let (kind, size) = (config.tokenizer.kind, config.tokenizer.vocab_size);
    log::info!("training a {kind:?} tokenizer of {size} tokens");
    let corpus = Corpus::open(&paths(&config.data.train), corpus_options(config))?.with_progress("reading");
    Tokenizer::train(kind, size, config.tokenizer.lowercase, corpus)
}

fn corpus_options(config: &Config) -> CorpusOptions {
    CorpusOptions { split: config.data.documents, field: config.data.field.clone() }
}

fn paths(names: &[String]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// Everything of a config that prepared data depends on.
fn settings(config: &Config) -> String {
    #[derive(serde::Serialize)]
    struct Settings<'a> {
        tokenizer: &'a crate::config::TokenizerConfig,
        data: &'a crate::config::DataConfig,
    }
    let settings = Settings { tokenizer: &config.tokenizer, data: &config.data };
    toml::to_string(&settings).expect("a config is made of what TOML can hold")
}
