//! A model as a checkpoint keeps it.

use super::checkpoint::{Checkpoint, has_manifest, resolve_model_dir};
use crate::config::ModelConfig;
use crate::data::Tokenizer;
use crate::hf::{self, Family, HfModel, folder};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The parameters.
pub(super) const MODEL: &str = "model.safetensors";
/// As transformers has it, with our exact `ModelConfig` in a section of its own.
pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// The optimiser's moments.
pub(super) const MOMENTS: &str = "training.safetensors";
/// The optimiser's counters, as they lie on the device.
pub(super) const OPTIMIZER: &str = "optimizer.bin";
/// How often each token occurs in the training text, u64 little-endian.
pub(super) const UNIGRAM: &str = "unigram.bin";

/// A trained model, read and checked, not yet on a device.
pub struct SavedModel {
    pub config: ModelConfig,
    pub tokenizer: Tokenizer,
    /// Token counts of the training text; empty where they are not known.
    pub unigram: Vec<u64>,
    /// Tokens a sequence in training.
    pub sequence_length: usize,
    /// Whether the files have a masked-language-model head. If not, the one here is fresh, and guesses at random.
    pub has_head: bool,
    path: PathBuf,
    values: Vec<Vec<f32>>,
}

impl SavedModel {
    /// Reads the model of a run (its best checkpoint, else its latest), of a checkpoint, or of a folder as transformers
    /// saves it. An encoder without a head is taken, for which see `has_head`.
    ///
    /// # Errors
    /// There is none, or a file of it is damaged.
    pub fn open(path: &Path) -> Result<SavedModel> {
        let model = if path.join(CONFIG).is_file() && !has_manifest(path) {
            Self::from_folder(&HfModel::open(path)?, path)?
        } else {
            Self::from_checkpoint(&Checkpoint::open(&resolve_model_dir(path)?)?)?
        };
        if model.tokenizer.vocab_size() > model.config.vocab_size {
            let (tokens, rows) = (model.tokenizer.vocab_size(), model.config.vocab_size);
            let problem = format!("has {tokens} tokens and the model only {rows}; it belongs to another model");
            return Err(Error::file(model.path.join(TOKENIZER), problem));
        }
        Ok(model)
    }

    /// As `open`, for what needs the head: says so in the log if it is fresh.
    ///
    /// # Errors
    /// As [`SavedModel::open`].
    pub fn open_with_head(path: &Path) -> Result<SavedModel> {
        let model = Self::open(path)?;
        if !model.has_head {
            log::warn!(
                "{} is an encoder without a masked-language-model head, so it has a fresh one: it guesses at random \
                 until it is trained",
                path.display()
            );
        }
        Ok(model)
    }

    fn from_folder(model: &HfModel, path: &Path) -> Result<SavedModel> {
        Ok(SavedModel {
            tokenizer: model.tokenizer()?,
            unigram: Vec::new(),
            sequence_length: model.config.max_positions.min(512),
            has_head: model.has_head(),
            values: model.values()?,
            config: model.config.clone(),
            path: path.to_path_buf(),
        })
    }

    fn from_checkpoint(checkpoint: &Checkpoint) -> Result<SavedModel> {
        let at = |name: &str| checkpoint.path().join(name);
        let (family, config) = folder::read_config(&at(CONFIG), &checkpoint.read(CONFIG)?)?;
        let unigram = checkpoint.read(UNIGRAM)?;
        Ok(SavedModel {
            tokenizer: Tokenizer::from_bytes(checkpoint.read(TOKENIZER)?, at(TOKENIZER))?,
            unigram: unigram.as_chunks::<8>().0.iter().map(|count| u64::from_le_bytes(*count)).collect(),
            sequence_length: checkpoint.state().sequence_length,
            has_head: true,
            values: read_values(checkpoint, family, &config)?,
            config,
            path: checkpoint.path().to_path_buf(),
        })
    }

    /// The folder of the model's files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The values of every parameter, in the order that the architecture declares them.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }
}

/// The parameters in a checkpoint of a model with this config.
///
/// # Errors
/// The file is damaged, or its tensors are not those that the config asks for.
pub(super) fn read_values(
    checkpoint: &Checkpoint,
    family: Option<Family>,
    config: &ModelConfig,
) -> Result<Vec<Vec<f32>>> {
    hf::values::values(family, config, checkpoint.read(MODEL)?, &checkpoint.path().join(MODEL))
}
