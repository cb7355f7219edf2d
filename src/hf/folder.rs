//! A transformers model in its folder.

use super::config;
use super::family::Family;
use super::tensors::Tensors;
use super::tokenizer;
use super::values::Reader;
use super::write::{OWN, contradiction};
use crate::data::Tokenizer;
use crate::model::ModelConfig;
use crate::{Error, Result, files};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A model as transformers saves it: `config.json`, `model.safetensors` or its shards, and the tokenizer's files.
pub struct HfModel {
    /// `None` for a model of Cloze that no family computes.
    pub family: Option<Family>,
    pub config: ModelConfig,
    folder: PathBuf,
    tensors: Tensors,
}

impl HfModel {
    /// Reads a folder.
    ///
    /// # Errors
    /// A file is missing or damaged, or the model is not one that Cloze computes.
    pub fn open(folder: &Path) -> Result<HfModel> {
        let path = folder.join("config.json");
        let (family, config) = read_foreign_config(&path, &files::read(&path)?)?;
        Ok(HfModel { family, config, folder: folder.to_path_buf(), tensors: Tensors::open(folder)? })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tokenizer beside the model.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        tokenizer::open(&self.folder)
    }

    /// The values of every parameter, in the order that `tasks::parameters` gives. A model that was saved without
    /// its head gets a fresh one, always the same.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape or type.
    pub fn values(&self) -> Result<Vec<Vec<f32>>> {
        self.reader().all()
    }

    /// Whether the files have a masked-language-model head.
    pub fn has_head(&self) -> bool {
        self.reader().has_head()
    }

    fn reader(&self) -> Reader<'_> {
        Reader { family: self.family, config: &self.config, tensors: &self.tensors }
    }
}

/// Reads the `config.json` of a checkpoint: our own section of it where there is one, which is exact, else the family's
/// keys. `path` is for messages.
///
/// # Errors
/// The two contradict each other; and see `config::read`.
pub fn read_config(path: &Path, json: &[u8]) -> Result<(Option<Family>, ModelConfig)> {
    read(path, json, |key| Err(Error::file(path, format!("{key} contradicts the section `{OWN}`; set it back"))))
}

/// Reads the `config.json` of a folder that transformers may have written: it keeps our section when it saves a model that
/// it has changed, so the family's keys count where the two contradict each other.
///
/// # Errors
/// See `config::read`.
pub fn read_foreign_config(path: &Path, json: &[u8]) -> Result<(Option<Family>, ModelConfig)> {
    read(path, json, |key| {
        log::warn!("{}: {key} was changed after Cloze wrote it, so the section `{OWN}` is passed over", path.display());
        Ok(())
    })
}

/// `contradicted` says what a key means that contradicts our section.
fn read(
    path: &Path,
    json: &[u8],
    contradicted: impl FnOnce(String) -> Result<()>,
) -> Result<(Option<Family>, ModelConfig)> {
    let json: Value = serde_json::from_slice(json).map_err(|error| Error::file(path, error.to_string()))?;
    if let Some(own) = json.get(OWN) {
        let config = ModelConfig::from_json(path, own.clone())?;
        match contradiction(&config, &json) {
            None => return Ok((Family::of(&config), config)),
            Some(key) => contradicted(key)?,
        }
    }
    config::read(path, &json).map(|(family, config)| (Some(family), config))
}
