//! What was found out about the kernels' variants on an adapter. It is kept on disk, so that later processes need not find it
//! out again.

use crate::exec::gpu::Gpu;
use crate::files::cache;
use crate::kernels::kernel::MULTIPLY_HIGH;
use crate::kernels::{KERNELS, Kernel, Precision, Variant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Verdicts on an adapter with its driver, for one build of the kernels.
pub struct Record {
    /// Where the record is kept; `None` if it is not kept.
    path: Option<PathBuf>,
    content: Content,
}

#[derive(Serialize, Deserialize)]
struct Content {
    key: Key,
    /// The verdicts by kernel and variant, such as `matmul_nt/direct`, followed by ` f16` in that precision.
    verdicts: BTreeMap<String, Verdict>,
    /// The fastest variant of each shape, by `Kernel::shape`.
    #[serde(default)]
    fastest: BTreeMap<String, String>,
}

/// What the verdicts are valid for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    adapter: String,
    backend: String,
    driver: String,
    driver_info: String,
    cloze: String,
    /// A hash of every shader, since a build from changed sources can have the same version.
    shaders: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Passed,
    Failed,
}

impl Record {
    /// Reads the record of a GPU from the user's cache directory; empty if there is none or it can't be read. While a variant
    /// is broken on purpose, nothing is read or kept.
    pub fn of(gpu: &Gpu) -> Record {
        let info = &gpu.info;
        if gpu.sabotaged() {
            return Self::unkept(info);
        }
        cache::folder().map_or_else(|| Self::unkept(info), |folder| Self::open_in(&folder, info))
    }

    /// An empty record that stays in memory.
    fn unkept(info: &wgpu::AdapterInfo) -> Record {
        Record {
            path: None,
            content: Content { key: Key::of(info), verdicts: BTreeMap::new(), fastest: BTreeMap::new() },
        }
    }

    fn open_in(folder: &Path, info: &wgpu::AdapterInfo) -> Record {
        let empty = Self::unkept(info);
        let path = folder.join(empty.content.key.file_name());
        let content = read(&path, &empty.content.key).unwrap_or_else(|problem| {
            log::warn!("{}: {problem}; the kernels are checked anew", path.display());
            None
        });
        Record { path: Some(path), content: content.unwrap_or(empty.content) }
    }

    pub fn verdict(&self, kernel: &Kernel, variant: &Variant, precision: Precision) -> Option<Verdict> {
        self.content.verdicts.get(&name(kernel, variant, precision)).copied()
    }

    pub fn note(&mut self, kernel: &Kernel, variant: &Variant, precision: Precision, verdict: Verdict) {
        self.content.verdicts.insert(name(kernel, variant, precision), verdict);
    }

    /// The fastest variant of a kernel for launches of a shape, if it was measured.
    pub fn fastest(&self, kernel: &'static Kernel, shape: &str) -> Option<&'static Variant> {
        let name = self.content.fastest.get(shape)?;
        kernel.variants.iter().find(|variant| variant.name == name)
    }

    /// How many shapes were measured.
    pub fn measured(&self) -> usize {
        self.content.fastest.len()
    }

    /// Adds measurements. What another process measured for a shape meanwhile stays, so that two processes that train the same
    /// model compute the same.
    pub fn note_fastest(&mut self, measured: impl IntoIterator<Item = (String, &'static Variant)>) {
        let theirs = self.path.as_ref().and_then(|path| read(path, &self.content.key).ok().flatten());
        self.content.fastest.extend(theirs.into_iter().flat_map(|content| content.fastest));
        for (shape, variant) in measured {
            self.content.fastest.entry(shape).or_insert_with(|| variant.name.into());
        }
    }

    /// Writes the record. If that fails, it logs so, and the next process checks again.
    pub fn keep(&self) {
        if let Some(path) = &self.path
            && let Err(error) = self.write(path)
        {
            log::warn!("{error}; every start checks the kernels until that can be written");
        }
    }

    fn write(&self, path: &Path) -> crate::Result<()> {
        cache::write(path, &serde_json::to_vec_pretty(&self.content).expect("names and verdicts are always JSON"))
    }
}

/// `None` where there is no file.
fn read(path: &Path, key: &Key) -> Result<Option<Content>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let content = serde_json::from_slice::<Content>(&bytes).map_err(|error| error.to_string())?;
    if content.key == *key { Ok(Some(content)) } else { Err("it is of another adapter".into()) }
}

fn name(kernel: &Kernel, variant: &Variant, precision: Precision) -> String {
    let suffix = match precision {
        Precision::F32 => "",
        Precision::F16 => " f16",
    };
    format!("{}/{}{suffix}", kernel.name, variant.name)
}

impl Key {
    fn of(info: &wgpu::AdapterInfo) -> Key {
        let mut shaders = blake3::Hasher::new();
        let sources = KERNELS.iter().flat_map(|kernel| kernel.variants).flat_map(|variant| variant.source);
        sources.chain(&MULTIPLY_HIGH).for_each(|source| {
            shaders.update(source.as_bytes());
        });
        Key {
            adapter: info.name.clone(),
            backend: info.backend.to_string(),
            driver: info.driver.clone(),
            driver_info: info.driver_info.clone(),
            cloze: env!("CARGO_PKG_VERSION").into(),
            shaders: shaders.finalize().to_string(),
        }
    }

    fn file_name(&self) -> String {
        format!("kernels-{}.json", &blake3::hash(format!("{self:?}").as_bytes()).to_string()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Precision::{F16, F32};
    use crate::kernels::matmul::MATMUL_NT;

    fn info(driver: &str) -> wgpu::AdapterInfo {
        let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Vulkan);
        (info.name, info.driver_info) = ("a GPU".into(), driver.into());
        info
    }

    #[test]
    fn verdicts_are_kept_for_the_driver_they_were_found_with() {
        let folder = tempfile::tempdir().unwrap();
        let [tiled, direct] = [0, 1].map(|place| &MATMUL_NT.variants[place]);
        let mut record = Record::open_in(folder.path(), &info("1.0"));
        assert_eq!(record.verdict(&MATMUL_NT, tiled, F32), None);
        record.note(&MATMUL_NT, tiled, F32, Verdict::Passed);
        record.note(&MATMUL_NT, direct, F32, Verdict::Failed);
        record.keep();

        let same = Record::open_in(folder.path(), &info("1.0"));
        assert_eq!(same.verdict(&MATMUL_NT, tiled, F32), Some(Verdict::Passed));
        assert_eq!(same.verdict(&MATMUL_NT, direct, F32), Some(Verdict::Failed));
        assert_eq!(same.verdict(&MATMUL_NT, tiled, F16), None, "that is another shader");
        let newer = Record::open_in(folder.path(), &info("1.1"));
        assert_eq!(newer.verdict(&MATMUL_NT, tiled, F32), None);
    }

    #[test]
    fn a_damaged_record_counts_as_none_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let tiled = &MATMUL_NT.variants[0];
        let path = Record::open_in(folder.path(), &info("1.0")).path.unwrap();
        for damage in ["", "{", "{\"key\": 3}", "[]"] {
            std::fs::write(&path, damage).unwrap();
            let mut record = Record::open_in(folder.path(), &info("1.0"));
            assert_eq!(record.verdict(&MATMUL_NT, tiled, F32), None);
            record.note(&MATMUL_NT, tiled, F32, Verdict::Passed);
            record.keep();
            let again = Record::open_in(folder.path(), &info("1.0"));
            assert_eq!(again.verdict(&MATMUL_NT, tiled, F32), Some(Verdict::Passed), "after {damage:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cache"), "a file").unwrap();
        let record = Record::open_in(&folder.path().join("cache/cloze"), &info("1.0"));
        record.keep();
        assert_eq!(record.verdict(&MATMUL_NT, &MATMUL_NT.variants[0], F32), None);
    }
}
