//! Opens a run's prepared data, and makes it from the text that the config names if it is missing.

use super::interrupt;
use super::sources::{Change, Sources, What};
use crate::config::{Config, TokenizerConfig};
use crate::data::{
    Corpus, CorpusOptions, DocumentSplit, PrepareOptions, Prepared, Tokenizer, Validation, check_maskable, prepare,
};
use crate::files;
use crate::{Error, Remedy, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use toml::{Table, Value};

/// The file of the settings that the prepared data was made with, beside it. `train` prepares again when they change.
const SETTINGS: &str = "data.settings";

/// The tokenizer that the data must have, because the model was trained with it.
#[derive(Clone, Copy)]
pub enum Required<'a> {
    /// No particular one: the config's, or that of the prepared data.
    Nothing,
    /// The tokenizer of the model that training starts from.
    Init(&'a Tokenizer),
    /// The tokenizer of the checkpoint that training resumes from.
    Resume(&'a Tokenizer),
}

impl<'a> Required<'a> {
    /// The tokenizer, if there is a requirement.
    pub fn tokenizer(self) -> Option<&'a Tokenizer> {
        match self {
            Required::Nothing => None,
            Required::Init(tokenizer) | Required::Resume(tokenizer) => Some(tokenizer),
        }
    }

    fn is_met(self, prepared: &Prepared) -> bool {
        self.tokenizer().is_none_or(|tokenizer| {
            tokenizer.json() == prepared.tokenizer().json() && tokenizer.specials() == prepared.specials()
        })
    }
}

/// The prepared data of a run: the folder that the config names, or else the folder `data` of the run, which is made from raw
/// text if it is missing. When `stop` becomes true, the preparing is interrupted, and leaves nothing behind.
///
/// # Errors
/// The tokenizer, the corpus or the prepared folder can't be used; or the data was prepared with another tokenizer than
/// required.
pub fn prepared_data(config: &Config, run: &Path, required: Required, stop: &Arc<AtomicBool>) -> Result<Prepared> {
    let prepared = match &config.data.prepared {
        Some(folder) => judged(Prepared::open(folder)?, "the training part of data.prepared")?,
        None => own_data(config, run, required, stop)?,
    };
    if required.is_met(&prepared) {
        return Ok(prepared);
    }
    Err(match (required, &config.model.init) {
        (Required::Init(_), Some(init)) => {
            let tokenizer = init.join("tokenizer.json");
            let problem = format!(
                "has another tokenizer than model.init; prepare it with its own, such as {}",
                tokenizer.display()
            );
            Error::config("data.prepared", problem)
        }
        _ => {
            let problem = "has another tokenizer than the run; prepare it with the tokenizer.json of a checkpoint";
            Error::config("data", problem)
        }
    })
}

fn own_data(config: &Config, run: &Path, required: Required, stop: &Arc<AtomicBool>) -> Result<Prepared> {
    let folder = run.join("data");
    let (settings, kept) = (settings(config), kept_settings(run)?);
    let same = match required {
        Required::Resume(_) => kept.as_deref().is_some_and(|kept| same_as_kept(kept, &settings)),
        _ => kept.as_ref() == Some(&settings),
    };
    if matches!(required, Required::Resume(_)) && kept.is_some() && !same {
        let problem = "is not what the run began with; set it back, or prepare the other text with the \
                       tokenizer.json of a checkpoint, and name its folder as data.prepared";
        return Err(Error::config("[data] or [tokenizer]", problem));
    }
    let change = match Sources::read(run)? {
        Some(sources) if same => sources.change(config)?,
        _ => None,
    };
    match (required, change) {
        (_, None) => {}
        (Required::Resume(_), Some(change)) if change.what == What::Gone && folder.is_dir() => {
            log::warn!("{}: {}; the run goes on with that", change.key, change.problem());
        }
        (Required::Resume(_), Some(change)) => return Err(changed(change, &folder)),
        (Required::Nothing | Required::Init(_), Some(change)) => {
            log::info!("{}: {}; it is made anew", change.key, change.problem());
            return make_own(config, run, required, stop, &settings);
        }
    }
    if same && folder.is_dir() {
        let prepared = Prepared::open(&folder)?;
        // A new run that was killed early may have left data of another tokenizer, if model.init was another model then.
        if required.is_met(&prepared) || matches!(required, Required::Resume(_)) {
            return judged(prepared, "the run's training text");
        }
    }
    make_own(config, run, required, stop, &settings)
}

/// Makes the run's own data, and then notes what it was made from. After a kill in between it is made again.
fn make_own(
    config: &Config,
    run: &Path,
    required: Required,
    stop: &Arc<AtomicBool>,
    settings: &str,
) -> Result<Prepared> {
    let folder = run.join("data");
    let sources = Sources::of(config)?;
    match required {
        Required::Resume(tokenizer) | Required::Init(tokenizer) => make(config, tokenizer, stop, &folder)?,
        Required::Nothing => make(config, &new_tokenizer(config)?, stop, &folder)?,
    }
    sources.write(run)?;
    files::replace(&run.join(SETTINGS), settings.as_bytes())?;
    Prepared::open(&folder)
}

/// Checks that data prepared earlier has tokens that can be masked, and passes it on; `prepare` checks data that it makes.
fn judged(prepared: Prepared, name: &str) -> Result<Prepared> {
    check_maskable(prepared.tokenizer(), prepared.unigram(), name, || Ok([]))?;
    Ok(prepared)
}

/// The settings that the run's data was made with; `None` if it was not made yet.
///
/// # Errors
/// They can't be read, or are damaged.
fn kept_settings(run: &Path) -> Result<Option<String>> {
    let path = run.join(SETTINGS);
    match std::fs::read_to_string(&path) {
        Ok(settings) => Ok(Some(settings)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(Error::file(&path, "is damaged; remove it and the folder `data`, to have the data made again"))
        }
        Err(error) => Err(Error::io(&path)(error)),
    }
}

/// Whether the settings are the same as those that were kept. Keys for learning a tokenizer that an older version did not have
/// yet are ignored if they are missing, since a resume has its tokenizer already.
fn same_as_kept(kept: &str, settings: &str) -> bool {
    let (Ok(kept), Ok(mut settings)) = (kept.parse::<Table>(), settings.parse::<Table>()) else { return false };
    if let (Some(Value::Table(old)), Some(Value::Table(new))) = (kept.get("tokenizer"), settings.get_mut("tokenizer")) {
        new.retain(|key, _| !["strip_accents", "character_coverage"].contains(&key) || old.contains_key(key));
    }
    kept == settings
}

fn changed(change: Change, folder: &Path) -> Error {
    let way_out = match folder.is_dir() {
        true => format!(", or go on with the data as it was by data.prepared = \"{}\"", folder.display()),
        false => String::new(),
    };
    let problem = format!("{}; put it back{way_out}", change.problem());
    Error::config(change.key, problem).with(Remedy::AnotherRun)
}

fn make(config: &Config, tokenizer: &Tokenizer, stop: &Arc<AtomicBool>, folder: &Path) -> Result<()> {
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
    prepare(tokenizer, &paths(&config.data.train), &options, folder).map(drop)
}

/// The config's tokenizer: read from a file, or trained on the training text.
fn new_tokenizer(config: &Config) -> Result<Tokenizer> {
    if let Some(file) = &config.tokenizer.file {
        return Tokenizer::load(file);
    }
    let options = config.tokenizer.options();
    log::info!("training a {:?} tokenizer of {} tokens", options.kind, options.vocab_size);
    let corpus = Corpus::open(&paths(&config.data.train), corpus_options(config))?.with_progress("reading");
    // Learning a tokenizer writes nothing until it is done, so a signal may end it at once.
    interrupt::ending_at_once(|| Tokenizer::train(&options, corpus))
}

fn corpus_options(config: &Config) -> CorpusOptions {
    CorpusOptions {
        split: config.data.documents,
        field: config.data.field.clone(),
        max_bad_lines: config.data.max_bad_lines,
    }
}

fn paths(names: &[String]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// All settings of a config that prepared data depends on.
fn settings(config: &Config) -> String {
    #[derive(serde::Serialize)]
    struct Settings<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        init: Option<&'a Path>,
        train: &'a [String],
        validation: &'a [String],
        validation_fraction: f64,
        documents: DocumentSplit,
        field: &'a str,
        tokenizer: &'a TokenizerConfig,
    }
    let data = &config.data;
    let settings = Settings {
        init: config.model.init.as_deref(),
        train: &data.train,
        validation: &data.validation,
        validation_fraction: data.validation_fraction,
        documents: data.documents,
        field: &data.field,
        tokenizer: &config.tokenizer,
    };
    toml::to_string(&settings).expect("a config is made of what TOML can hold")
}
