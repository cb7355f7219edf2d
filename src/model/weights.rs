//! Parameters and optimiser moments as safetensors.

use super::parameters::{Kind, Parameter, Parameters};
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
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((format!("{prefix}{}", parameter.name), parameter.shape.clone(), bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the bytes fill the shape");
        (name, view)
    });
    let metadata = [("format".to_string(), "pt".to_string())].into();
    Ok(safetensors::serialize(views, Some(metadata)).expect("a list of f32 tensors can be written"))
}

/// Writes the values of a safetensors file to the device.
///
/// # Errors
/// The file is damaged, or a tensor is missing, left over, of another shape or type; `path` is for the message.
pub fn load(
    parameters: &Parameters,
    executor: &mut dyn Executor,
    kinds: &[(Kind, &str)],
    bytes: &[u8],
    path: &Path,
) -> Result<()> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::file(path, format!("is not a sound safetensors file: {error}")))?;
    let expected = parameters.list.len() * kinds.len();
    if file.len() != expected {
        let known = |name: &str| {
            kinds.iter().any(|(_, prefix)| parameters.list.iter().any(|p| name == format!("{prefix}{}", p.name)))
        };
        if let Some(extra) = file.names().into_iter().find(|name| !known(name)) {
            return Err(Error::file(path, format!("has a tensor `{extra}` that config.json does not ask for")));
        }
    }
    for &(kind, prefix) in kinds {
        let values = parameters.list.iter().map(|parameter| values(&file, prefix, parameter, path));
        parameters.write(executor, kind, values.collect::<Result<_>>()?);
    }
    Ok(())
}

fn values(file: &SafeTensors, prefix: &str, parameter: &Parameter, path: &Path) -> Result<Vec<f32>> {
    let name = format!("{prefix}{}", parameter.name);
    let tensor = file.tensor(&name).map_err(|_| Error::file(path, format!("has no tensor `{name}`")))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != parameter.shape {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let problem = format!("`{name}` is {dtype:?} {shape:?}, and config.json asks for F32 {:?}", parameter.shape);
        return Err(Error::file(path, problem));
    }
    let (words, _) = tensor.data().as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}
