//! A model as a checkpoint keeps it.

use super::{Checkpoint, Choice, has_manifest, with_model};
use crate::data::{Masking, SpecialNames, Tokenizer};
use crate::hf::{self, Family, HfModel, folder};
use crate::model::ModelConfig;
use crate::tasks::{Task, TaskKind};
use crate::{Error, Result, files};
use std::path::{Path, PathBuf};

/// The parameters.
pub(crate) const MODEL: &str = "model.safetensors";
/// The config as transformers has it, with our exact `ModelConfig` in a section of its own.
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// The tokenizer's names for its special tokens.
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
/// The optimiser's moments.
pub(crate) const MOMENTS: &str = "training.safetensors";
/// The optimiser's counters, as they lie on the device.
pub(crate) const OPTIMIZER: &str = "optimizer.bin";
/// How often each token occurs in the training text, u64 little-endian.
pub(crate) const UNIGRAM: &str = "unigram.bin";

/// A trained model, read and checked, not yet on a device.
pub struct SavedModel {
    pub config: ModelConfig,
    /// The task that it was trained for.
    pub task: TaskKind,
    pub tokenizer: Tokenizer,
    /// Token counts of the training text; empty where they are not known.
    pub unigram: Vec<u64>,
    /// Tokens per sequence in training.
    pub sequence_length: usize,
    /// Whether the files have a masked-language-model head. If not, the head is newly initialized, and guesses at random.
    pub has_head: bool,
    path: PathBuf,
    values: Vec<Vec<f32>>,
}

impl SavedModel {
    /// Reads the model of a run (see [`with_model`]), of a checkpoint, or of a folder saved by transformers. An encoder
    /// without a head is accepted: see `has_head`.
    ///
    /// # Errors
    /// There is no model, or one of its files is damaged.
    pub fn open(path: &Path) -> Result<SavedModel> {
        Self::open_as(path, None)
    }

    fn open_as(path: &Path, kind: Option<TaskKind>) -> Result<SavedModel> {
        if path.join(CONFIG).is_file() && !has_manifest(path) {
            let model = HfModel::open(path)?;
            Self::of_transformers(&model, kind.unwrap_or(model.task))
        } else {
            with_model(path, |choice| {
                choice.announce();
                Self::from_checkpoint(&choice.checkpoint, kind)?.check()
            })
        }
    }

    /// As `open_with_head`, for training on a task that may not be the model's own. Missing parts of the task's head are
    /// newly initialized.
    ///
    /// # Errors
    /// As [`SavedModel::open`].
    pub fn open_for(path: &Path, kind: TaskKind) -> Result<SavedModel> {
        let model = Self::open_as(path, Some(kind))?;
        model.warn_if_headless();
        if model.task != kind {
            log::info!(
                "{} was trained for the task \"{}\", and goes on as \"{kind}\"",
                model.path.display(),
                model.task
            );
        }
        Ok(SavedModel { task: kind, ..model })
    }

    /// As `open`, for callers that need the head. Warns in the log if it is newly initialized.
    ///
    /// # Errors
    /// As [`SavedModel::open`].
    pub fn open_with_head(path: &Path) -> Result<SavedModel> {
        let model = Self::open(path)?;
        model.warn_if_headless();
        Ok(model)
    }

    /// Warns in the log if the head is newly initialized.
    pub fn warn_if_headless(&self) {
        if !self.has_head {
            log::warn!(
                "{} is an encoder without a masked-language-model head, so it has a fresh one: it guesses at random \
                 until it is trained",
                self.path.display()
            );
        }
    }

    /// Reads the model of a folder saved by transformers.
    ///
    /// # Errors
    /// A file of it is damaged.
    pub fn from_hugging_face(model: &HfModel) -> Result<SavedModel> {
        Self::of_transformers(model, model.task)
    }

    /// Reads it with the parameters of a task.
    fn of_transformers(model: &HfModel, kind: TaskKind) -> Result<SavedModel> {
        SavedModel {
            task: model.task,
            tokenizer: model.tokenizer()?,
            unigram: Vec::new(),
            sequence_length: model.config.max_positions.min(512),
            has_head: model.has_head(),
            values: model.values(kind)?,
            config: model.config.clone(),
            path: model.folder().to_path_buf(),
        }
        .check()
    }

    /// Refuses a tokenizer that has more tokens than the model.
    fn check(self) -> Result<SavedModel> {
        let (tokens, rows) = (self.tokenizer.vocab_size(), self.config.vocab_size);
        if tokens > rows {
            let problem = format!("has {tokens} tokens and the model only {rows}; it belongs to another model");
            return Err(Error::file(self.path.join(TOKENIZER), problem));
        }
        Ok(self)
    }

    fn from_checkpoint(checkpoint: &Checkpoint, kind: Option<TaskKind>) -> Result<SavedModel> {
        let at = |name: &str| checkpoint.path().join(name);
        let json = checkpoint.read(CONFIG)?;
        let ((family, config), task) =
            (folder::read_config(&at(CONFIG), &json)?, folder::read_task(&at(CONFIG), &json)?);
        let unigram = checkpoint.read(UNIGRAM)?;
        Ok(SavedModel {
            tokenizer: read_tokenizer(checkpoint)?,
            unigram: unigram.as_chunks::<8>().0.iter().map(|count| u64::from_le_bytes(*count)).collect(),
            sequence_length: checkpoint.state().sequence_length,
            has_head: true,
            values: read_values(checkpoint, family, &*kind.unwrap_or(task).task(&config, Masking::default()))?,
            task,
            config,
            path: checkpoint.path().to_path_buf(),
        })
    }

    /// The task that it was trained to do, with this masking.
    pub fn task(&self, masking: Masking) -> Box<dyn Task> {
        self.task.task(&self.config, masking)
    }

    /// The folder of the model's files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The values of every parameter, in the order that `tasks::parameters` gives.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }
}

/// The config of the model that [`SavedModel::open`] would read.
///
/// # Errors
/// There is no model, or its config is damaged.
pub fn read_config(path: &Path) -> Result<ModelConfig> {
    let config = if path.join(CONFIG).is_file() && !has_manifest(path) {
        let file = path.join(CONFIG);
        folder::read_foreign_config(&file, &files::read(&file)?)
    } else {
        with_model(path, |Choice { checkpoint, .. }| {
            folder::read_config(&checkpoint.path().join(CONFIG), &checkpoint.read(CONFIG)?)
        })
    };
    config.map(|(_, config)| config)
}

/// The parameters of a task's model in a checkpoint.
///
/// # Errors
/// The file is damaged, or its tensors are not those that the config asks for.
fn read_values(checkpoint: &Checkpoint, family: Option<Family>, task: &dyn Task) -> Result<Vec<Vec<f32>>> {
    hf::values::values(family, task, checkpoint.read(MODEL)?, &checkpoint.path().join(MODEL))
}

/// The tokenizer in a checkpoint.
///
/// # Errors
/// It is damaged.
pub(crate) fn read_tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    let mut names = SpecialNames::default();
    names.fill(&checkpoint.read(SPECIAL_TOKENS)?, &checkpoint.path().join(SPECIAL_TOKENS))?;
    Tokenizer::from_bytes_with(checkpoint.read(TOKENIZER)?, names, checkpoint.path().join(TOKENIZER))
}
