//! A transformers model in its folder.

use super::config::{self, Family};
use super::names::source;
use crate::config::ModelConfig;
use crate::model::architecture::declare;
use crate::model::parameters::Declaration;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// A model as transformers saves it: `config.json` and `model.safetensors`.
pub struct HfModel {
    pub family: Family,
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
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(Error::io(&path))
        };
        let (family, config) = config::read(&folder.join("config.json"), &read("config.json")?)?;
        Ok(HfModel { family, config, folder: folder.to_path_buf(), weights: read("model.safetensors")? })
    }

    /// The values of every parameter, in the order that `architecture::declare` gives.
    ///
    /// # Errors
    /// A tensor is missing, of another shape or type.
    pub fn values(&self) -> Result<Vec<Vec<f32>>> {
        values(self.family, &declare(&self.config), &self.weights, &self.folder.join("model.safetensors"))
    }
}

/// The values of parameters in a safetensors file with a family's names; `path` is for messages.
///
/// # Errors
/// The file is damaged, or a tensor is missing, of another shape or type.
pub fn values(family: Family, list: &[Declaration], bytes: &[u8], path: &Path) -> Result<Vec<Vec<f32>>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::file(path, format!("is not a sound safetensors file: {error}")))?;
    list.iter().map(|parameter| parameter_values(&file, family, parameter, path)).collect()
}

fn parameter_values(file: &SafeTensors, family: Family, parameter: &Declaration, path: &Path) -> Result<Vec<f32>> {
    let name = &parameter.name;
    let source = source(family, name)
        .ok_or_else(|| Error::file(path, format!("{family:?} models have nothing like our `{name}`")))?;
    let mut shape = parameter.shape.clone();
    shape[0] /= source.tensors.len();
    let mut values = Vec::with_capacity(parameter.count());
    for theirs in &source.tensors {
        let tensor = file.tensor(theirs).map_err(|_| Error::file(path, format!("has no tensor `{theirs}`")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let (dtype, found) = (tensor.dtype(), tensor.shape());
            let problem = format!("`{theirs}` is {dtype:?} {found:?}, and config.json asks for F32 {shape:?}");
            return Err(Error::file(path, problem));
        }
        values.extend(tensor.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)));
    }
    Ok(values)
}
