//! A transformers model in its folder.

use super::config::{self, Family};
use super::names::{fixed, source};
use super::write::OWN;
use crate::config::ModelConfig;
use crate::data::Tokenizer;
use crate::model::architecture::declare;
use crate::model::parameters::Declaration;
use crate::model::weights::deserialize;
use crate::{Error, Result};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::{Path, PathBuf};

/// A model as transformers saves it: `config.json`, `model.safetensors` and `tokenizer.json`.
pub struct HfModel {
    /// `None` for a model of Cloze that no family computes.
    pub family: Option<Family>,
    pub config: ModelConfig,
    folder: PathBuf,
    weights: Vec<u8>,
}

impl HfModel {
    /// Reads a folder.
    ///
    /// # Errors
    /// A file is missing or damaged, or the model is not one that Cloze computes.
    pub fn open(folder: &Path) -> Result<HfModel> {
        let (family, config) = read_config(&folder.join("config.json"), &read(folder, "config.json")?)?;
        Ok(HfModel { family, config, folder: folder.to_path_buf(), weights: read(folder, "model.safetensors")? })
    }

    /// The tokenizer beside the model.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Tokenizer::load(self.folder.join("tokenizer.json"))
    }

    /// The values of every parameter, in the order that `architecture::declare` gives.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape or type.
    pub fn values(&self) -> Result<Vec<Vec<f32>>> {
        values(self.family, &self.config, &self.weights, &self.folder.join("model.safetensors"))
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(Error::io(&path))
}

/// Reads a `config.json`: our own section of it where there is one, which is exact, else the family's keys. `path` is for
/// messages.
///
/// # Errors
/// See `config::read`.
pub fn read_config(path: &Path, json: &[u8]) -> Result<(Option<Family>, ModelConfig)> {
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|error| Error::file(path, error.to_string()))?;
    match value.get(OWN) {
        Some(own) => {
            let config = ModelConfig::from_json(path, own.clone())?;
            Ok((Family::of(&config), config))
        }
        None => config::read(path, json).map(|(family, config)| (Some(family), config)),
    }
}

/// The values of a config's parameters in a safetensors file with a family's names, or ours; `path` is for messages.
///
/// # Errors
/// The file is damaged, or a tensor is missing, left over, of another shape or type.
pub fn values(family: Option<Family>, config: &ModelConfig, bytes: &[u8], path: &Path) -> Result<Vec<Vec<f32>>> {
    let file = deserialize(bytes, path)?;
    let mut used: Vec<String> =
        family.map(|family| fixed(family, config)).unwrap_or_default().iter().map(|t| t.name.to_string()).collect();
    let values = values_among(&file, family, config, path, &mut used)?;
    let mut names = file.names().into_iter();
    match names.find(|name| !used.iter().any(|used| used == name) && !superfluous(name, config)) {
        Some(name) => Err(Error::file(path, format!("has a tensor `{name}` that the config does not ask for"))),
        None => Ok(values),
    }
}

/// `values` of a file that may hold other tensors as well.
///
/// # Errors
/// The file is damaged, or a tensor is missing, of another shape or type.
pub fn some_values(family: Option<Family>, config: &ModelConfig, bytes: &[u8], path: &Path) -> Result<Vec<Vec<f32>>> {
    values_among(&deserialize(bytes, path)?, family, config, path, &mut Vec::new())
}

/// Adds the names of the tensors it reads to `used`.
fn values_among(
    file: &SafeTensors,
    family: Option<Family>,
    config: &ModelConfig,
    path: &Path,
    used: &mut Vec<String>,
) -> Result<Vec<Vec<f32>>> {
    let mut all = Vec::new();
    for parameter in declare(config) {
        let mut values = Vec::new();
        for (theirs, shape) in tensors(family, config, &parameter, path)? {
            let name =
                stored_name(file, &theirs).ok_or_else(|| Error::file(path, format!("has no tensor `{theirs}`")))?;
            let tensor = file.tensor(&name).map_err(|error| Error::file(path, error.to_string()))?;
            if tensor.shape() != shape {
                let problem = format!("`{name}` has shape {:?}, and the config asks for {shape:?}", tensor.shape());
                return Err(Error::file(path, problem));
            }
            values.extend(floats(&tensor).ok_or_else(|| {
                Error::file(path, format!("`{name}` is of type {:?}; Cloze reads F32, F16 and BF16", tensor.dtype()))
            })?);
            used.push(name);
        }
        all.push(values);
    }
    Ok(all)
}

/// The tensors of a parameter and their shapes.
fn tensors(
    family: Option<Family>,
    config: &ModelConfig,
    parameter: &Declaration,
    path: &Path,
) -> Result<Vec<(String, Vec<usize>)>> {
    let Some(family) = family else { return Ok(vec![(parameter.name.clone(), parameter.shape.clone())]) };
    let source = source(family, config, &parameter.name)
        .ok_or_else(|| Error::file(path, format!("{family:?} models have nothing like our `{}`", parameter.name)))?;
    let mut shape = parameter.shape.clone();
    shape[0] /= source.tensors.len();
    Ok(source.tensors.into_iter().map(|name| (name, shape.clone())).collect())
}

/// The name a tensor has in the file: old checkpoints call the weight and bias of norms gamma and beta.
fn stored_name(file: &SafeTensors, name: &str) -> Option<String> {
    let legacy = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    [name.to_string(), legacy].into_iter().find(|name| file.tensor(name).is_ok())
}

/// What old or roundabout checkpoints also hold: position numbers, copies of the tied decoder, heads of other tasks.
fn superfluous(name: &str, config: &ModelConfig) -> bool {
    let decoder = ["cls.predictions.decoder.weight", "lm_head.decoder.weight", "decoder.weight"];
    name.ends_with("embeddings.position_ids")
        || (config.tied_decoder && decoder.contains(&name))
        || ["cls.predictions.decoder.bias", "lm_head.decoder.bias"].contains(&name)
        || name.contains(".pooler.")
        || name.starts_with("cls.seq_relationship.")
}

fn floats(tensor: &TensorView) -> Option<Vec<f32>> {
    let pairs = || tensor.data().as_chunks::<2>().0.iter();
    match tensor.dtype() {
        Dtype::F32 => Some(tensor.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()),
        Dtype::F16 => Some(pairs().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect()),
        _ => None,
    }
}
