//! A model as a checkpoint keeps it.

use super::checkpoint::{Checkpoint, resolve_model_dir};
use crate::config::ModelConfig;
use crate::data::Tokenizer;
use crate::model::architecture::declare;
use crate::model::weights;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The parameters.
pub(super) const MODEL: &str = "model.safetensors";
/// A `ModelConfig`.
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
    /// Token counts of the training text.
    pub unigram: Vec<u64>,
    /// Tokens a sequence in training.
    pub sequence_length: usize,
    path: PathBuf,
    weights: Vec<u8>,
}

impl SavedModel {
    /// Reads the model of a run (its best checkpoint, else its latest) or of a checkpoint.
    ///
    /// # Errors
    /// There is none, or a file of it is damaged.
    pub fn open(path: &Path) -> Result<SavedModel> {
        let checkpoint = Checkpoint::open(&resolve_model_dir(path)?)?;
        let at = |name: &str| checkpoint.path().join(name);
        let config = ModelConfig::from_json(&at(CONFIG), &checkpoint.read(CONFIG)?)?;
        let tokenizer = Tokenizer::from_bytes(checkpoint.read(TOKENIZER)?, at(TOKENIZER))?;
        if tokenizer.vocab_size() > config.vocab_size {
            let (tokens, rows) = (tokenizer.vocab_size(), config.vocab_size);
            let problem = format!("has {tokens} tokens and the model only {rows}; it belongs to another model");
            return Err(Error::file(at(TOKENIZER), problem));
        }
        let unigram = checkpoint.read(UNIGRAM)?;
        Ok(SavedModel {
            config,
            tokenizer,
            unigram: unigram.as_chunks::<8>().0.iter().map(|count| u64::from_le_bytes(*count)).collect(),
            sequence_length: checkpoint.state().sequence_length,
            weights: checkpoint.read(MODEL)?,
            path: checkpoint.path().to_path_buf(),
        })
    }

    /// The checkpoint's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The values of every parameter, in the order that the architecture declares them.
    ///
    /// # Errors
    /// The file's tensors are not those that the config asks for.
    pub fn values(&self) -> Result<Vec<Vec<f32>>> {
        weights::parse(&declare(&self.config), "", &self.weights, &self.path.join(MODEL))
    }
}
