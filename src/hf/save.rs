//! Writes a model's folder as transformers reads it. The folder appears whole or not at all.

use super::tensors::{INDEX, MODEL};
use super::weights_dtype::WeightsDtype;
use super::write::{self, Named};
use crate::data::{Staging, Tokenizer};
use crate::files;
use crate::model::weights::serialize;
use crate::tasks::Task;
use crate::{Error, Remedy, Result};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Options for writing a folder.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    pub precision: WeightsDtype,
    /// Most bytes of values in one file. A larger model becomes shards and an index.
    pub max_shard: u64,
}

impl Default for SaveOptions {
    fn default() -> Self {
        SaveOptions { precision: WeightsDtype::F32, max_shard: u64::MAX }
    }
}

/// Writes a task's model with its tokenizer to the folder `out`. `values` are in the order that `tasks::parameters` gives. If
/// `stop` becomes true, writing stops and nothing is left behind.
///
/// # Errors
/// `out` exists; a value does not fit the precision; the disk refuses; it was interrupted.
pub fn save(
    out: &Path,
    task: &dyn Task,
    tokenizer: &Tokenizer,
    values: &[Vec<f32>],
    options: SaveOptions,
    stop: &AtomicBool,
) -> Result<()> {
    let staging = Staging::fresh(out)?;
    let put = |name: &str, bytes: &[u8]| {
        files::write_new(&staging.path().join(name), bytes)?;
        match stop.load(Ordering::Relaxed) {
            true => Err(Error::file(out, "interrupted; nothing was written")),
            false => Ok(()),
        }
    };
    put("config.json", &write::config(task, tokenizer, options.precision))?;
    put("tokenizer.json", tokenizer.json())?;
    for (name, bytes) in write::tokenizer_files(task.config(), tokenizer) {
        put(name, &bytes)?;
    }
    let tensors = write::tensors(task, values);
    let shards = shards(&tensors, options);
    let count = shards.len();
    let file = |number: usize| match count {
        1 => MODEL.to_string(),
        _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
    };
    for (number, shard) in shards.iter().enumerate() {
        put(&file(number), &content(shard, options.precision)?)?;
    }
    if count > 1 {
        let place = |(number, shard): (usize, &&[Named])| {
            shard.iter().map(move |tensor| (tensor.name.clone(), number)).collect::<Vec<_>>()
        };
        let weight_map: serde_json::Map<_, _> =
            shards.iter().enumerate().flat_map(place).map(|(name, number)| (name, file(number).into())).collect();
        let total: u64 = tensors.iter().map(|tensor| size(tensor, options.precision)).sum();
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        put(INDEX, &serde_json::to_vec_pretty(&index).expect("a JSON value can be written"))?;
    }
    staging.commit()
}

/// The tensors in as few files as the limit allows, in their order. A tensor above the limit gets a file of its own.
fn shards<'a, 'b>(tensors: &'a [Named<'b>], options: SaveOptions) -> Vec<&'a [Named<'b>]> {
    let (mut shards, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (at, tensor) in tensors.iter().enumerate() {
        let size = size(tensor, options.precision);
        if at > first && bytes + size > options.max_shard {
            shards.push(&tensors[first..at]);
            (first, bytes) = (at, 0);
        }
        bytes += size;
    }
    shards.push(&tensors[first..]);
    shards
}

/// Bytes of a tensor in a file.
fn size(tensor: &Named, precision: WeightsDtype) -> u64 {
    (tensor.values.len() * precision.width()) as u64
}

fn content(tensors: &[Named], precision: WeightsDtype) -> Result<Vec<u8>> {
    let encode = |tensor: &Named| {
        let bytes = precision.bytes(&tensor.values).ok_or_else(|| {
            let problem = format!("`{}` has a value beyond its range", tensor.name);
            Error::config(precision.torch_name(), problem).with(Remedy::WiderFormat)
        })?;
        Ok((tensor.name.clone(), tensor.shape.clone(), bytes))
    };
    Ok(serialize(precision.dtype(), &tensors.iter().map(encode).collect::<Result<Vec<_>>>()?))
}
