//! Parameter values as safetensors: a whole file in memory, or portion by portion.

use crate::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo, TensorView};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// Number of values in a portion.
const PORTION: usize = 1 << 20;
/// Bytes held in memory for a portion: what comes from the device, the values, and the bytes of the file.
pub const HELD: u64 = 3 * 4 * PORTION as u64;
/// Largest header that is read, in bytes. Ours are smaller.
const MOST_HEADER: u64 = 100 << 20;

/// A tensor of a file in f32.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub shape: Vec<usize>,
}

impl Entry {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Writes f32 tensors as the safetensors file that `serialize` would make of them, with only a portion of their values in
/// memory. `values` returns a range of the values of a tensor, given its place in `entries`.
///
/// # Errors
/// `write` or `values` fails.
pub fn write(
    entries: &[Entry],
    mut write: impl FnMut(&[u8]) -> Result<()>,
    mut values: impl FnMut(usize, Range<usize>) -> Result<Vec<f32>>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&place| &entries[place].name);
    let mut at = 0;
    let infos = order.iter().map(|&place| {
        let (entry, start) = (&entries[place], at);
        at += 4 * entry.count();
        let info = TensorInfo { dtype: Dtype::F32, shape: entry.shape.clone(), data_offsets: (start, at) };
        (entry.name.clone(), info)
    });
    let metadata = Metadata::new(Some(about()), infos.collect()).expect("tensors one after another are sound");
    let mut header = serde_json::to_vec(&metadata).expect("names and numbers are always JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    write(&(header.len() as u64).to_le_bytes())?;
    write(&header)?;
    for place in order {
        let count = entries[place].count();
        for start in (0..count).step_by(PORTION) {
            write(&bytes(&values(place, start..count.min(start + PORTION))?))?;
        }
    }
    Ok(())
}

/// Reads a safetensors file of exactly these f32 tensors, with only a portion of their values in memory. `take` gets a
/// tensor's place in `entries`, the number of the portion's first value, and the values. `path` is for messages.
///
/// # Errors
/// The file is damaged, or a tensor is missing, left over, of another shape or type.
pub fn read(
    mut file: impl Read + Seek,
    path: &Path,
    entries: &[Entry],
    mut take: impl FnMut(usize, usize, &[f32]),
) -> Result<()> {
    let (start, metadata) = read_header(&mut file, path)?;
    let tensors = metadata.tensors();
    let wanted: HashMap<&str, &Entry> = entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    if let Some(extra) = tensors.keys().find(|name| !wanted.contains_key(name.as_str())) {
        return Err(Error::file(path, format!("has a tensor `{extra}` that the config does not ask for")));
    }
    let mut buffer = vec![0; 4 * PORTION];
    for (place, Entry { name, shape }) in entries.iter().enumerate() {
        let info = tensors.get(name).ok_or_else(|| Error::file(path, format!("has no tensor `{name}`")))?;
        if info.dtype != Dtype::F32 || info.shape != *shape {
            let (dtype, found) = (info.dtype, &info.shape);
            let problem = format!("`{name}` is {dtype:?} {found:?}, and the config asks for F32 {shape:?}");
            return Err(Error::file(path, problem));
        }
        file.seek(SeekFrom::Start(start + info.data_offsets.0 as u64)).map_err(Error::io(path))?;
        let count = entries[place].count();
        for first in (0..count).step_by(PORTION) {
            let portion = &mut buffer[..4 * (count - first).min(PORTION)];
            file.read_exact(portion).map_err(Error::io(path))?;
            take(place, first, &floats(portion));
        }
    }
    Ok(())
}

/// Where the values begin, and the metadata in the header.
fn read_header(file: &mut impl Read, path: &Path) -> Result<(u64, Metadata)> {
    let unsound = |problem: String| Error::file(path, format!("is not a sound safetensors file: {problem}"));
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| unsound(error.to_string()))?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER {
        return Err(unsound(format!("a header of {length} bytes")));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(Error::io(path))?;
    let metadata = serde_json::from_slice(&header).map_err(|error| unsound(error.to_string()))?;
    Ok((8 + length, metadata))
}

/// The metadata that transformers looks for in a file.
fn about() -> HashMap<String, String> {
    [("format".to_string(), "pt".to_string())].into()
}

/// Tensors of one type (name, shape, little-endian values) as a safetensors file.
pub fn serialize(dtype: Dtype, tensors: &[(String, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(dtype, shape.clone(), bytes).expect("the bytes fill the shape"))
    });
    safetensors::serialize(views, Some(about())).expect("a list of tensors can be written")
}

/// Values as a safetensors file holds them.
pub fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// The tensors of a safetensors file; `path` is for messages.
///
/// # Errors
/// The file is damaged.
pub fn deserialize<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes)
        .map_err(|error| Error::file(path, format!("is not a sound safetensors file: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, shape: &[usize]| Entry { name: name.into(), shape: shape.to_vec() };
        vec![entry("z.weight", &[3, PORTION / 2]), entry("a.bias", &[5]), entry("m", &[1, 1])]
    }

    fn value(place: usize, number: usize) -> f32 {
        (place * 1000 + number % 997) as f32
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut file = Vec::new();
        let put = |bytes: &[u8]| {
            file.extend_from_slice(bytes);
            Ok(())
        };
        write(entries, put, |place, range| Ok(range.map(|number| value(place, number)).collect())).unwrap();
        file
    }

    #[test]
    fn portions_make_the_same_file_as_the_whole() {
        let entries = entries();
        let whole = entries.iter().enumerate().map(|(place, entry)| {
            let values: Vec<f32> = (0..entry.count()).map(|number| value(place, number)).collect();
            (entry.name.clone(), entry.shape.clone(), bytes(&values))
        });
        assert!(written(&entries) == serialize(Dtype::F32, &whole.collect::<Vec<_>>()));
    }

    #[test]
    fn what_was_written_is_read() {
        let entries = entries();
        let mut counts = vec![0; entries.len()];
        read(Cursor::new(written(&entries)), Path::new("x"), &entries, |place, first, values| {
            assert_eq!(first, counts[place], "portions come one after another");
            counts[place] += values.len();
            assert!(values.iter().enumerate().all(|(at, &found)| found == value(place, first + at)));
        })
        .unwrap();
        assert_eq!(counts, entries.iter().map(Entry::count).collect::<Vec<_>>());
    }

    #[test]
    fn other_files_are_refused() {
        let entries = entries();
        let file = written(&entries);
        let refused = |file: &[u8], entries: &[Entry], words: &str| {
            let error = read(Cursor::new(file), Path::new("x"), entries, |_, _, _| {}).unwrap_err().to_string();
            assert!(error.starts_with("x: ") && error.contains(words), "{error}");
        };
        refused(&file, &entries[1..], "a tensor `z.weight` that the config does not ask for");
        let mut more = entries.clone();
        more.push(Entry { name: "b".into(), shape: vec![1] });
        refused(&file, &more, "has no tensor `b`");
        more.pop();
        more[1].shape = vec![6];
        refused(&file, &more, "`a.bias` is F32 [5], and the config asks for F32 [6]");
        refused(&file[..file.len() - 1], &entries, "failed to fill whole buffer");
        refused(&file[..5], &entries, "not a sound safetensors file");
        refused(&[0xff; 16], &entries, "a header of");
        refused(b"\x02\0\0\0\0\0\0\0[]", &entries, "not a sound safetensors file");
    }
}
