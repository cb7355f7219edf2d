//! The TOML schema of a training run.
//!
//! A config is read in layers: `--set key=value` overrides the file, which overrides the defaults of the model's recipe and
//! the general defaults (`defaults.toml`). The result is complete and has been checked. A path in a config file is looked for
//! in the file's folder first, then in the current directory. Paths in `--set`, and in the config that a run keeps, are
//! relative to the current directory.

mod data;
mod defaults;
mod init;
mod micro_batch;
mod paths;
mod renamed;
pub(crate) mod run_format;
mod task;
mod train;

pub use data::{DataConfig, TokenizerConfig};
pub use micro_batch::MicroBatch;
pub use task::TaskConfig;
pub use train::{CheckpointConfig, TrainConfig, ValidationConfig};

use crate::data::Masking;
use crate::model::ModelConfig;
use crate::settings::{explain, require, set};
use crate::tasks::Task;
use crate::{Error, Result, files};
use renamed::OldNames;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

/// Most tokens of an optimiser step: far above any real batch, and few enough to fit in memory and to be counted in 32 bits.
const MAX_STEP_TOKENS: usize = 1 << 25;

/// The section of the only task that there was once.
const FIRST_TASK: &str = "[task]\nkind = \"mlm\"\n\n";

/// First line of the config that a run keeps. Its paths are those that were found when the run began.
const KEPT: &str = "# Every setting of this run, defaults included.";

/// The complete config of a training run: every default is filled in, and every value has been checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run's name; it goes to `runs/<name>`. Default: the config file's name without `.toml`.
    pub name: String,
    /// Seed of everything random: initial weights, order of the data, masking, dropout. Default 1.
    pub seed: u64,
    pub tokenizer: TokenizerConfig,
    pub data: DataConfig,
    pub task: TaskConfig,
    pub masking: Masking,
    /// `vocab_size` is 0 here until the tokenizer is known: see [`Config::model`]. With `init` it is that of the model there.
    pub model: ModelConfig,
    pub train: TrainConfig,
    pub validation: ValidationConfig,
    pub checkpoint: CheckpointConfig,
}

/// The keys of [`Config`], without their values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the names matter")]
struct Names {
    name: IgnoredAny,
    seed: IgnoredAny,
    tokenizer: IgnoredAny,
    data: IgnoredAny,
    task: IgnoredAny,
    masking: IgnoredAny,
    model: IgnoredAny,
    train: IgnoredAny,
    validation: IgnoredAny,
    checkpoint: IgnoredAny,
}

impl Config {
    /// Reads a config file and puts `sets`, each `key=value`, over it.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or belongs to a run that a later version wrote. A key is unknown, missing, of
    /// the wrong type or impossible; the error gives its full path.
    pub fn load(path: &Path, sets: &[String]) -> Result<Config> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let is_kept = text.starts_with(KEPT);
        if is_kept {
            run_format::check(files::folder_of(path))?;
        }
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            Error::file(path, format!("is not TOML\n{}", error.to_string().trim_end()))
        })?;
        let mut old_names = OldNames::default();
        old_names.replace_in(&mut table)?;
        if is_kept {
            // An earlier version wrote these old names, not the user. They are replaced when the file is written next.
            old_names = OldNames::default();
        } else if let Some(folder) = path.parent() {
            paths::lead_on_from(folder, &mut table);
        }
        if let Some(stem) = path.file_stem() {
            table.entry("name").or_insert_with(|| Value::String(stem.to_string_lossy().into_owned()));
        }
        Config::from_table(table, sets, old_names)
    }

    /// Completes and checks a table in which `old_names` have been replaced.
    fn from_table(mut table: Table, sets: &[String], mut old_names: OldNames) -> Result<Config> {
        for assignment in sets {
            let assignment = old_names.replaced(assignment);
            set(&mut table, &assignment).map_err(|error| old_names.named_in(error))?;
            old_names.replace_in(&mut table)?;
        }
        old_names.announce();
        Config::complete(table).map_err(|error| old_names.named_in(error))
    }

    fn complete(mut table: Table) -> Result<Config> {
        let origin = init::fill(&mut table)?;
        defaults::fill_defaults(&mut table);
        // A mistyped section is reported first. Otherwise the error would be about keys that the right section lacks.
        let _: Names = serde_path_to_error::deserialize(table.clone()).map_err(|error| explain(&error))?;
        let config: Config = serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| explain(&error))?;
        if let Some(origin) = origin {
            config.check_origin(&origin)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Refuses keys of `[model]` that contradict the model of `model.init`.
    ///
    /// # Errors
    /// Names the first key that contradicts it.
    pub fn check_origin(&self, origin: &ModelConfig) -> Result<()> {
        init::check(&self.model, origin)
    }

    /// The whole config, defaults included, in the form that [`Config::load`] reads.
    pub fn to_toml(&self) -> String {
        let body = toml::to_string_pretty(self).expect("a config is made of what TOML can hold");
        format!("{KEPT}\n\n{body}")
    }

    /// BLAKE3 in hexadecimal of [`Config::to_toml`], which tells whether two runs have the same settings. Keys that were
    /// renamed are hashed under their old names, and the task that earlier versions trained is left out, so that the
    /// checkpoints of earlier versions have the same digest.
    pub fn digest(&self) -> String {
        let text = renamed::by_first_names(&self.to_toml()).replace(FIRST_TASK, "");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// The model's shape for a tokenizer of `vocab_size` entries. A model given by `init` keeps its own vocabulary size.
    pub fn model(&self, vocab_size: usize) -> ModelConfig {
        let vocab_size = if self.model.vocab_size == 0 { vocab_size } else { self.model.vocab_size };
        ModelConfig { vocab_size, init: None, ..self.model.clone() }
    }

    /// The training task for a model of this shape.
    pub fn task(&self, model: &ModelConfig) -> Box<dyn Task> {
        self.task.kind.task(model, self.masking)
    }

    /// The same task with the masking of validation.
    pub fn validation_task(&self, model: &ModelConfig) -> Box<dyn Task> {
        self.task.kind.task(model, Masking { rate: self.validation.rate, ..Default::default() })
    }

    fn check(&self) -> Result<()> {
        require(is_file_name(&self.name), "name", || {
            format!(
                "`{}` must be usable as the name of a folder in runs/: letters, digits, `-`, `_` and `.`",
                self.name
            )
        })?;
        self.tokenizer.check()?;
        self.data.check()?;
        self.masking.check()?;
        require(
            self.model.vocab_size == 0 || self.model.init.is_some(),
            "model.vocab_size",
            "comes from the tokenizer; set tokenizer.vocab_size instead",
        )?;
        require(
            self.tokenizer.file.is_none() || self.model.init.is_none(),
            "tokenizer.file",
            "is given beside model.init, whose tokenizer is taken; leave one of them out",
        )?;
        self.model.check()?;
        if let Some((key, problem)) = self.task(&self.model).misfit() {
            return Err(Error::config(format!("model.{key}"), format!("{problem}; or set task.kind = \"mlm\"")));
        }
        self.train.check()?;
        self.validation.check()?;
        self.checkpoint.check()?;
        let (batch, length) = (self.train.batch_size, self.data.sequence_length);
        require(batch <= MAX_STEP_TOKENS / length, "train.batch_size", || {
            format!("is {batch} sequences of {length} tokens; the most is {MAX_STEP_TOKENS} tokens a step")
        })?;
        let most = self.model.max_positions;
        require(length <= most, "data.sequence_length", || {
            format!("is {length}, more than model.max_positions = {most}")
        })
    }
}

fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests;
