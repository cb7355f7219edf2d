//! Reads a shard. It is not mapped into memory: if somebody cuts the file short or the disk fails, a mapped file would end
//! the process, whereas here it is an error.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};

use super::{Header, MAGIC, ShardBuilder, VERSION, damaged, open, token_width};
use crate::data::manifest::ShardEntry;
use crate::{Error, Result, files};

/// Bytes read at once to verify a shard, a multiple of 8.
const CHUNK: usize = 1 << 20;
/// Offsets of documents that are read at once. After one document, the next is usually asked for.
const OFFSETS: usize = 512;

/// A shard on the disk. All of it has been verified.
pub(in crate::data) struct Shard {
    file: File,
    path: PathBuf,
    width: u32,
    tokens: u64,
    documents: usize,
    layout: [Range<u64>; 3],
    /// The offsets last read.
    offsets: Mutex<Offsets>,
}

/// Where several consecutive documents begin, and where the last of them ends.
#[derive(Default)]
struct Offsets {
    first: usize,
    values: Vec<u64>,
}

impl Shard {
    /// Opens `folder/entry.file` and checks size, checksum, header, offsets and token ids.
    ///
    /// # Errors
    /// The file can't be read or isn't what the manifest says.
    pub fn open(folder: &Path, entry: &ShardEntry, vocab_size: usize) -> Result<Self> {
        let path = folder.join(&entry.file);
        let file = open(&path, entry.bytes)?;
        let damaged = |problem| damaged(&path, problem);
        if entry.bytes < size_of::<Header>() as u64 {
            return Err(damaged("shorter than a header"));
        }
        let mut header = Header::zeroed();
        read_exact_at(&file, bytemuck::bytes_of_mut(&mut header), 0).map_err(Error::io(&path))?;
        if header.magic != MAGIC {
            return Err(damaged("not a shard"));
        }
        files::check_version(&path, header.version.into(), VERSION)?;
        if header.width != token_width(vocab_size)
            || (header.tokens, header.documents) != (entry.tokens, entry.documents)
        {
            return Err(damaged("its header contradicts the manifest"));
        }
        let layout = header.layout().filter(|[_, _, tokens]| tokens.end == entry.bytes);
        layout.ok_or_else(|| damaged("its size contradicts its header"))?;
        let shard = Shard::new(file, path.clone(), &header)?;
        shard.verify(&entry.blake3, vocab_size)?;
        Ok(shard)
    }

    /// Writes a shard to an unnamed temporary file, and empties the builder.
    ///
    /// # Errors
    /// The folder for temporary files has no room.
    pub fn temporary(builder: &mut ShardBuilder) -> Result<Self> {
        let built = std::mem::replace(builder, ShardBuilder::new(builder.width));
        let header = built.header();
        let folder = std::env::temp_dir();
        let write = || {
            let mut file = tempfile::tempfile()?;
            built.sections(&header).iter().try_for_each(|section| file.write_all(section))?;
            Ok(file)
        };
        let file = write().map_err(Error::io(&folder))?;
        Shard::new(file, folder, &header)
    }

    /// A shard as its header describes it.
    fn new(file: File, path: PathBuf, header: &Header) -> Result<Self> {
        let documents = usize::try_from(header.documents).ok();
        let (layout, documents) =
            header.layout().zip(documents).ok_or_else(|| damaged(&path, "it has more documents than memory"))?;
        Ok(Shard {
            file,
            path,
            width: header.width,
            tokens: header.tokens,
            documents,
            layout,
            offsets: Mutex::default(),
        })
    }

    /// Reads all of it once in order to verify it.
    fn verify(&self, blake3: &str, vocab_size: usize) -> Result<()> {
        let [offsets, _, tokens] = &self.layout;
        let mut buffer = vec![0u64; CHUNK / 8];
        let mut hasher = blake3::Hasher::new();
        let (mut ascend, mut last, mut largest) = (true, 0, 0);
        for start in (0..tokens.end).step_by(CHUNK) {
            let length = (tokens.end - start).min(CHUNK as u64) as usize;
            let chunk = &mut cast_slice_mut::<u64, u8>(&mut buffer)[..length];
            self.read_at(chunk, start)?;
            hasher.update(chunk);
            for &offset in cast_slice::<u8, u64>(within(chunk, start, offsets)) {
                ascend &= offset >= last;
                last = offset;
            }
            let ids = within(chunk, start, tokens);
            let most = match self.width {
                2 => cast_slice::<u8, u16>(ids).iter().max().copied().map(u32::from),
                _ => cast_slice::<u8, u32>(ids).iter().max().copied(),
            };
            largest = largest.max(most.unwrap_or(0));
        }
        let damaged = |problem| Err(damaged(&self.path, problem));
        if hasher.finalize().to_hex().as_str() != blake3 {
            return damaged("its checksum is wrong");
        }
        if self.documents > 0 && self.bounds(0)?.start != 0 || last != self.tokens || !ascend {
            return damaged("its documents overlap");
        }
        if self.tokens > 0 && largest as usize >= vocab_size {
            return damaged("it has token ids beyond the vocabulary");
        }
        Ok(())
    }

    pub fn documents(&self) -> usize {
        self.documents
    }

    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The range of one document's tokens in the shard.
    ///
    /// # Errors
    /// The file can't be read.
    ///
    /// # Panics
    /// If there is no such document.
    pub fn bounds(&self, document: usize) -> Result<Range<u64>> {
        assert!(document < self.documents, "document {document} of {}", self.documents);
        let mut offsets = self.offsets.lock().unwrap();
        if !(offsets.first..offsets.first + offsets.values.len().saturating_sub(1)).contains(&document) {
            let first = document - document % OFFSETS;
            let mut values = vec![0; (self.documents - first).min(OFFSETS) + 1];
            self.read_at(cast_slice_mut(&mut values), self.layout[0].start + 8 * first as u64)?;
            *offsets = Offsets { first, values };
        }
        let at = document - offsets.first;
        let bounds = offsets.values[at]..offsets.values[at + 1];
        match bounds.start <= bounds.end && bounds.end <= self.tokens {
            true => Ok(bounds),
            false => Err(self.changed()),
        }
    }

    /// Appends the tokens `range` of the shard, and for each whether a word begins there.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, range: Range<u64>, ids: &mut Vec<u32>, word_starts: &mut Vec<bool>) -> Result<()> {
        let [_, starts, tokens] = &self.layout;
        match self.width {
            2 => ids.extend(self.values::<u16>(tokens.start, range.clone())?.into_iter().map(u32::from)),
            _ => ids.extend(self.values::<u32>(tokens.start, range.clone())?),
        }
        let words = range.start / 64..range.end.div_ceil(64);
        let bits = self.values::<u64>(starts.start, words.clone())?;
        word_starts.extend(range.map(|bit| bits[(bit / 64 - words.start) as usize] >> (bit % 64) & 1 == 1));
        Ok(())
    }

    /// The numbers `range` of a section that begins at byte `start`.
    fn values<T: Pod>(&self, start: u64, range: Range<u64>) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); (range.end - range.start) as usize];
        self.read_at(cast_slice_mut(&mut values), start + range.start * size_of::<T>() as u64)?;
        Ok(values)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        read_exact_at(&self.file, bytes, at).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.changed(),
            _ => Error::io(&self.path)(source),
        })
    }

    fn changed(&self) -> Error {
        damaged(&self.path, "it was changed or cut short while it was read")
    }
}

/// The part of a file's chunk that belongs to a section; the chunk begins at byte `start`.
fn within<'a>(chunk: &'a [u8], start: u64, section: &Range<u64>) -> &'a [u8] {
    let end = start + chunk.len() as u64;
    let [from, to] = [section.start, section.end].map(|bound| (bound.clamp(start, end) - start) as usize);
    &chunk[from..to]
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, at) = (&mut bytes[read..], at + read as u64),
        }
    }
    Ok(())
}
