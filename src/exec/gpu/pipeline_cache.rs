//! The driver's own cache of compiled pipelines (Vulkan), kept on disk.

use super::describe;
use crate::files::cache;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A larger file is not read, so the cache starts anew.
const MOST_BYTES: u64 = 256 << 20;

pub(super) struct PipelineCache {
    pub cache: wgpu::PipelineCache,
    path: PathBuf,
    /// The hash of the file's content.
    kept: Mutex<Option<blake3::Hash>>,
}

impl PipelineCache {
    /// Opens the cache with what an earlier process kept for the same adapter and driver; `None` if the device has no such
    /// cache.
    pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<PipelineCache> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = format!("{} {}", wgpu::util::pipeline_cache_key(info)?, describe(info));
        let name = format!("pipelines-{}.bin", &blake3::hash(key.as_bytes()).to_string()[..16]);
        let path = cache::folder()?.join(name);
        let data = read(&path);
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("cloze"), data: data.as_deref(), fallback: true };
        // SAFETY: the data came from `get_data` of this adapter and driver: the file is named after them, written in one
        // rename, and its checksum has just been compared.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(PipelineCache { cache, path, kept: Mutex::new(data.map(|data| blake3::hash(&data))) })
    }

    /// Writes the file if there is anything new.
    pub fn keep(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        let hash = blake3::hash(&data);
        if kept.replace(hash) != Some(hash)
            && let Err(error) = cache::write(&self.path, &[hash.as_bytes(), data.as_slice()].concat())
        {
            log::debug!("{error}; every start compiles the pipelines until that can be written");
        }
    }
}

/// A file's content after its checksum; `None` if there is no file or it is damaged.
fn read(path: &Path) -> Option<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            log::debug!("{}: {error}", path.display());
            return None;
        }
    };
    let data = bytes.split_at_checked(blake3::OUT_LEN).filter(|(hash, data)| blake3::hash(data).as_bytes() == hash);
    if data.is_none() {
        log::warn!("{}: it is damaged; the pipelines are compiled anew", path.display());
    }
    data.map(|(_, data)| data.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/pipelines.bin");
        assert_eq!(read(&path), None);
        let whole = [blake3::hash(b"data").as_bytes().as_slice(), b"data"].concat();
        cache::write(&path, &whole).unwrap();
        assert_eq!(read(&path), Some(b"data".to_vec()));
        for length in 0..whole.len() {
            cache::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path), None, "{length} bytes");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            cache::write(&path, &damaged).unwrap();
            assert_eq!(read(&path), None, "byte {place}");
        }
    }
}
