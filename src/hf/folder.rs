//! A transformers model in its folder.

use super::config;
use super::family::Family;
use super::tensors::Tensors;
use super::tokenizer;
use super::values::Reader;
use super::write::{OWN, TASK, contradiction};
use crate::data::{Masking, Tokenizer};
use crate::model::ModelConfig;
use crate::tasks::TaskKind;
use crate::{Error, Result, files};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A model as transformers saves it: `config.json`, `model.safetensors` or its shards, and the tokenizer's files.
pub struct HfModel {
    /// `None` for a model of Cloze that no family computes.
    pub family: Option<Family>,
    pub config: ModelConfig,
    /// The task that it was trained for: the last one whose whole head the files have, else the one that Cloze wrote down.
    pub task: TaskKind,
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
        let json = files::read(&path)?;
        let (family, config) = read_foreign_config(&path, &json)?;
        let mut model = HfModel {
            family,
            config,
            task: read_task(&path, &json)?,
            folder: folder.to_path_buf(),
            tensors: Tensors::open(folder)?,
        };
        if let Some(kind) = TaskKind::ALL.into_iter().rev().find(|&kind| model.has_whole_head(kind)) {
            model.task = kind;
        }
        Ok(model)
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

    /// The values of every parameter for a task, in the order that `tasks::parameters` gives. If the files lack the head or a
    /// part of it, that is newly initialized, always with the same values.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape or type.
    pub fn values(&self, kind: TaskKind) -> Result<Vec<Vec<f32>>> {
        self.read(kind, |reader| reader.all())
    }

    /// Whether the files have a masked-language-model head.
    pub fn has_head(&self) -> bool {
        self.read(TaskKind::Mlm, |reader| reader.has_head())
    }

    fn has_whole_head(&self, kind: TaskKind) -> bool {
        self.read(kind, |reader| reader.has_whole_head())
    }

    fn read<T>(&self, kind: TaskKind, read: impl FnOnce(Reader) -> T) -> T {
        let task = kind.task(&self.config, Masking::default());
        read(Reader { family: self.family, task: &*task, tensors: &self.tensors })
    }
}

/// The task in our section of a `config.json`; masked language modelling where none is named. `path` is for messages.
///
/// # Errors
/// It is no JSON, or names a task that there is not.
pub fn read_task(path: &Path, json: &[u8]) -> Result<TaskKind> {
    let json: Value = serde_json::from_slice(json).map_err(|error| Error::file(path, error.to_string()))?;
    match json.get(OWN).and_then(|own| own.get(TASK)) {
        None => Ok(TaskKind::default()),
        Some(task) => TaskKind::deserialize(task).map_err(|_| {
            let known = TaskKind::ALL.map(TaskKind::name).join(", ");
            Error::file(path, format!("{OWN}.{TASK} is {task}, and this Cloze knows {known}; a later one may know it"))
        }),
    }
}

/// Reads the `config.json` of a checkpoint. Our own section is exact, so it is used if it exists, else the family's keys.
/// `path` is for messages.
///
/// # Errors
/// The two contradict each other, or `config::read` fails.
pub fn read_config(path: &Path, json: &[u8]) -> Result<(Option<Family>, ModelConfig)> {
    read(path, json, |key| Err(Error::file(path, format!("{key} contradicts the section `{OWN}`; set it back"))))
}

/// Reads the `config.json` of a folder that transformers may have written. It keeps our section even when it saves a model
/// that it has changed, so the family's keys are used if the two contradict each other.
///
/// # Errors
/// See `config::read`.
pub fn read_foreign_config(path: &Path, json: &[u8]) -> Result<(Option<Family>, ModelConfig)> {
    read(path, json, |key| {
        log::warn!("{}: {key} was changed after Cloze wrote it, so the section `{OWN}` is passed over", path.display());
        Ok(())
    })
}

/// `contradicted` is called with the key that contradicts our section.
fn read(
    path: &Path,
    json: &[u8],
    contradicted: impl FnOnce(String) -> Result<()>,
) -> Result<(Option<Family>, ModelConfig)> {
    let json: Value = serde_json::from_slice(json).map_err(|error| Error::file(path, error.to_string()))?;
    if let Some(own) = json.get(OWN) {
        let mut own = own.clone();
        own.as_object_mut().and_then(|own| own.remove(TASK));
        let config = ModelConfig::from_json(path, own)?;
        match contradiction(&config, &json) {
            None => return Ok((Family::of(&config), config)),
            Some(key) => contradicted(key)?,
        }
    }
    config::read(path, &json).map(|(family, config)| (Some(family), config))
}
