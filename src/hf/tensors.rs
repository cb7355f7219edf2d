//! The tensors of a model's files: one `model.safetensors`, or the shards that an index names.

use crate::{Error, Result, files};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

pub const MODEL: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";

/// What a model's files hold, by name. Headers have been checked; values are read one tensor at a time.
pub struct Tensors {
    /// The one file, or the index. Errors about missing tensors name it.
    path: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
    places: BTreeMap<String, Place>,
}

/// Where a tensor lies.
struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Its bytes in the file.
    data: Range<usize>,
}

/// `model.safetensors.index.json`, as far as it matters.
#[derive(Deserialize)]
struct Index {
    /// The file of every tensor.
    weight_map: BTreeMap<String, String>,
}

impl Tensors {
    /// Reads `model.safetensors` of a folder or, if there is none, the shards of its index.
    ///
    /// # Errors
    /// There is neither; a file is missing, damaged or outside of the folder; two shards hold the same tensor, or a shard
    /// lacks one that the index says it has.
    pub fn open(folder: &Path) -> Result<Tensors> {
        let (whole, index) = (folder.join(MODEL), folder.join(INDEX));
        if whole.exists() {
            let bytes = files::read(&whole)?;
            return Tensors::from_bytes(&whole, bytes);
        }
        match index.exists() {
            true => Tensors::from_index(folder, &index),
            false => Err(no_weights(folder)),
        }
    }

    /// Takes the content of one safetensors file; `path` is for messages.
    ///
    /// # Errors
    /// It is damaged.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Tensors> {
        let mut tensors = Tensors { path: path.to_path_buf(), files: Vec::new(), places: BTreeMap::new() };
        tensors.add(path.to_path_buf(), bytes)?;
        Ok(tensors)
    }

    fn from_index(folder: &Path, path: &Path) -> Result<Tensors> {
        let index: Index = serde_json::from_slice(&files::read(path)?)
            .map_err(|error| Error::file(path, format!("is not an index of shards: {error}")))?;
        let shards: BTreeSet<&String> = index.weight_map.values().collect();
        if let Some(name) = shards.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
            let problem = format!("names the shard `{name}`; a shard is a file in the index's own folder");
            return Err(Error::file(path, problem));
        }
        let mut tensors = Tensors { path: path.to_path_buf(), files: Vec::new(), places: BTreeMap::new() };
        for name in shards {
            let shard = folder.join(name);
            let bytes = files::read(&shard)?;
            tensors.add(shard, bytes)?;
        }
        for (name, shard) in &index.weight_map {
            if tensors.path_of(name) != folder.join(shard) {
                return Err(Error::file(
                    folder.join(shard),
                    format!("has no tensor `{name}`, which {INDEX} says it has"),
                ));
            }
        }
        Ok(tensors)
    }

    fn add(&mut self, path: PathBuf, bytes: Vec<u8>) -> Result<()> {
        let damaged = |error| Error::file(&path, format!("is not a sound safetensors file: {error}"));
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let (file, start) = (self.files.len(), size_of::<u64>() + header);
        for (name, info) in metadata.tensors() {
            let (first, end) = info.data_offsets;
            let data = start + first..start + end;
            let place = Place { file, dtype: info.dtype, shape: info.shape.clone(), data };
            if let Some(other) = self.places.insert(name.clone(), place) {
                let other = self.files[other.file].0.display();
                return Err(Error::file(&path, format!("has a tensor `{name}` that {other} has too")));
            }
        }
        self.files.push((path, bytes));
        Ok(())
    }

    /// Every tensor's name, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The file that holds a tensor or, if the tensor is missing, the file where it was looked for.
    pub fn path_of(&self, name: &str) -> &Path {
        self.places.get(name).map_or(&self.path, |place| &self.files[place.file].0)
    }

    /// A tensor's values as f32, if it is of this shape.
    ///
    /// # Errors
    /// It is missing, of another shape, or of a type that is not read.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let refuse = |problem: String| Error::file(self.path_of(name), problem);
        let place = self.places.get(name).ok_or_else(|| refuse(format!("has no tensor `{name}`")))?;
        if place.shape != shape {
            return Err(refuse(format!("`{name}` has shape {:?}, and the config asks for {shape:?}", place.shape)));
        }
        let bytes = &self.files[place.file].1[place.data.clone()];
        floats(place.dtype, bytes)
            .ok_or_else(|| refuse(format!("`{name}` is of type {:?}; Cloze reads F32, F16 and BF16", place.dtype)))
    }
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()),
        Dtype::F16 => Some(pairs().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect()),
        _ => None,
    }
}

/// Why a folder has no weights that can be read, and what to do about it.
fn no_weights(folder: &Path) -> Error {
    let pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    match pickles.iter().find(|name| folder.join(name).exists()) {
        None => Error::file(folder, format!("has neither {MODEL} nor {INDEX}")),
        Some(name) => {
            let problem = format!(
                "has its weights only in {name}, a pickle, which can run any code when it is read; where you trust it, \
                 convert it: python -c \"import transformers as t; \
                 t.AutoModelForMaskedLM.from_pretrained('{0}').save_pretrained('{0}', safe_serialization=True)\"",
                folder.display()
            );
            Error::file(folder, problem)
        }
    }
}
