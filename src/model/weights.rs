//! Parameters and optimiser moments as safetensors.

use super::parameters::{Declaration, Kind, Parameters};
use crate::exec::Executor;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;

/// The values of one kind as a safetensors file, named as the parameters are.
///
/// # Errors
/// The device fails.
pub fn save(parameters: &Parameters, executor: &mut dyn Executor, kinds: &[(Kind, &str)]) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for &(kind, prefix) in kinds {
        let values = parameters.read(executor, kind)?;
        for (parameter, values) in parameters.list.iter().zip(values) {
            tensors.push((format!("{prefix}{}", parameter.name), parameter.shape.clone(), bytes(&values)));
        }
    }
    Ok(serialize(Dtype::F32, &tensors))
}

/// Tensors of one type (name, shape, little-endian values) as a safetensors file.
pub fn serialize(dtype: Dtype, tensors: &[(String, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(dtype, shape.clone(), bytes).expect("the bytes fill the shape"))
    });
    let metadata = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize(views, Some(metadata)).expect("a list of tensors can be written")
}

/// Values as a safetensors file holds them.
pub fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The tensors of a safetensors file; `path` is for messages.
///
/// # Errors
/// The file is damaged.
pub fn deserialize<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes)
        .map_err(|error| Error::file(path, format!("is not a sound safetensors file: {error}")))
}

/// The values of a safetensors file for each of `list`, whose names have `prefix` before them in the file; `path` is for
/// messages. Tensors under other prefixes are left alone.
///
/// # Errors
/// The file is damaged, or a tensor is missing, left over, of another shape or type.
pub fn parse(list: &[Declaration], prefix: &str, bytes: &[u8], path: &Path) -> Result<Vec<Vec<f32>>> {
    let file = deserialize(bytes, path)?;
    let known = |name: &str| list.iter().any(|parameter| parameter.name == name);
    let names = file.names();
    if let Some(extra) = names.iter().filter_map(|name| name.strip_prefix(prefix)).find(|name| !known(name)) {
        return Err(Error::file(path, format!("has a tensor `{prefix}{extra}` that the config does not ask for")));
    }
    list.iter().map(|parameter| values(&file, prefix, parameter, path)).collect()
}

fn values(file: &SafeTensors, prefix: &str, parameter: &Declaration, path: &Path) -> Result<Vec<f32>> {
    let name = format!("{prefix}{}", parameter.name);
    let tensor = file.tensor(&name).map_err(|_| Error::file(path, format!("has no tensor `{name}`")))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != parameter.shape {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let problem = format!("`{name}` is {dtype:?} {shape:?}, and the config asks for F32 {:?}", parameter.shape);
        return Err(Error::file(path, problem));
    }
    let (words, _) = tensor.data().as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}
