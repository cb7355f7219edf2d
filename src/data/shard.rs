//! A shard: a file of token ids that is mapped into memory as it lies.
//!
//! ```text
//! header        64 bytes, see `Header`
//! offsets       u64 × (documents + 1): where each document begins among the tokens, and the end
//! word starts   u64 × ⌈tokens / 64⌉: bit i % 64 of word i / 64 is set where token i begins a word
//! tokens        u16 or u32 × tokens
//! ```
//! All numbers are little-endian.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use bytemuck::{Pod, Zeroable, cast_slice};
use memmap2::Mmap;

use super::manifest::ShardEntry;
use super::tokenizer::Encoded;
use crate::{Error, Result};

const _: () = assert!(cfg!(target_endian = "little"), "shards are mapped as they lie: the host must be little-endian");

const MAGIC: [u8; 8] = *b"CLOZESHD";
const VERSION: u32 = 1;

#[derive(Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    /// Bytes a token: 2 or 4.
    width: u32,
    tokens: u64,
    documents: u64,
    reserved: [u64; 4],
}

impl Header {
    /// Where offsets, word starts and tokens lie in the file, or `None` if they'd be larger than any file.
    fn layout(&self) -> Option<[Range<usize>; 3]> {
        let [tokens, documents] = [self.tokens, self.documents].map(|count| usize::try_from(count).ok());
        let offsets =
            size_of::<Header>()..documents?.checked_add(1)?.checked_mul(8)?.checked_add(size_of::<Header>())?;
        let starts = offsets.end..tokens?.div_ceil(64).checked_mul(8)?.checked_add(offsets.end)?;
        let tokens = starts.end..tokens?.checked_mul(self.width as usize)?.checked_add(starts.end)?;
        Some([offsets, starts, tokens])
    }
}

/// The bytes a token takes in a shard.
pub(super) fn token_width(vocab_size: usize) -> u32 {
    if vocab_size <= 1 << 16 { 2 } else { 4 }
}

/// Gathers the documents of one shard in memory.
pub(super) struct ShardBuilder {
    width: u32,
    offsets: Vec<u64>,
    word_starts: Vec<u64>,
    tokens: Vec<u8>,
}

impl ShardBuilder {
    pub fn new(width: u32) -> Self {
        ShardBuilder { width, offsets: vec![0], word_starts: Vec::new(), tokens: Vec::new() }
    }

    pub fn documents(&self) -> u64 {
        self.offsets.len() as u64 - 1
    }

    pub fn tokens(&self) -> u64 {
        self.offsets[self.offsets.len() - 1]
    }

    pub fn push(&mut self, document: &Encoded) {
        let first = self.tokens() as usize;
        self.word_starts.resize((first + document.ids.len()).div_ceil(64), 0);
        for (index, _) in document.word_starts.iter().enumerate().filter(|(_, starts)| **starts) {
            self.word_starts[(first + index) / 64] |= 1 << ((first + index) % 64);
        }
        match self.width {
            2 => self.tokens.extend(document.ids.iter().flat_map(|id| (*id as u16).to_le_bytes())),
            _ => self.tokens.extend(document.ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        self.offsets.push((first + document.ids.len()) as u64);
    }

    /// Writes the shard to `folder/name`, synced to disk, and empties the builder.
    pub fn write(&mut self, folder: &Path, name: String) -> Result<ShardEntry> {
        let shard = std::mem::replace(self, ShardBuilder::new(self.width));
        let (documents, tokens) = (shard.documents(), shard.tokens());
        let header = Header { magic: MAGIC, version: VERSION, width: shard.width, tokens, documents, reserved: [0; 4] };
        let sections: [&[u8]; 4] =
            [bytemuck::bytes_of(&header), cast_slice(&shard.offsets), cast_slice(&shard.word_starts), &shard.tokens];
        let blake3 = write_synced(&folder.join(&name), &sections)?;
        let bytes = sections.iter().map(|section| section.len() as u64).sum();
        Ok(ShardEntry { file: name, tokens, documents, bytes, blake3 })
    }
}

/// Writes a file, syncs it to disk and returns its BLAKE3 in hex.
pub(super) fn write_synced(path: &Path, sections: &[&[u8]]) -> Result<String> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        let mut hasher = blake3::Hasher::new();
        for section in sections {
            hasher.update(section);
            file.write_all(section)?;
        }
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        Ok(hasher.finalize().to_hex().to_string())
    };
    write().map_err(Error::io(path))
}

/// A shard mapped into memory, all of it verified.
pub(super) struct Shard {
    map: Mmap,
    width: u32,
    documents: usize,
    layout: [Range<usize>; 3],
}

impl Shard {
    /// Maps `folder/entry.file` and checks size, checksum, header, offsets and token ids.
    ///
    /// # Errors
    /// The file can't be opened or isn't what the manifest says.
    pub fn open(folder: &Path, entry: &ShardEntry, vocab_size: usize) -> Result<Self> {
        let path = folder.join(&entry.file);
        let map = map_verified(&path, entry.bytes, &entry.blake3)?;
        let damaged = |problem| damaged(&path, problem);

        let header = map.get(..size_of::<Header>()).ok_or_else(|| damaged("shorter than a header"))?;
        let header: Header = bytemuck::pod_read_unaligned(header);
        if header.magic != MAGIC || header.version != VERSION {
            return Err(damaged("not a shard of this version"));
        }
        if header.width != token_width(vocab_size)
            || (header.tokens, header.documents) != (entry.tokens, entry.documents)
        {
            return Err(damaged("its header contradicts the manifest"));
        }
        let layout = header.layout().filter(|[_, _, tokens]| tokens.end == map.len());
        let layout = layout.ok_or_else(|| damaged("its size contradicts its header"))?;
        // The layout fits the file, so the counts fit a usize.
        let shard = Shard { map, width: header.width, documents: header.documents as usize, layout };
        let offsets = shard.offsets();
        if offsets[0] != 0 || offsets[offsets.len() - 1] != header.tokens || !offsets.is_sorted() {
            return Err(damaged("its documents overlap"));
        }
        if shard.all().largest_id().is_some_and(|id| id as usize >= vocab_size) {
            return Err(damaged("it has token ids beyond the vocabulary"));
        }
        Ok(shard)
    }

    pub fn documents(&self) -> usize {
        self.documents
    }

    /// # Panics
    /// If there is no such document.
    pub fn document(&self, index: usize) -> Document<'_> {
        let offsets = self.offsets();
        self.all().slice(offsets[index] as usize..offsets[index + 1] as usize)
    }

    fn offsets(&self) -> &[u64] {
        cast_slice(&self.map[self.layout[0].clone()])
    }

    /// All tokens, as if they were one document.
    fn all(&self) -> Document<'_> {
        let tokens = &self.map[self.layout[2].clone()];
        let ids = match self.width {
            2 => Ids::Narrow(cast_slice(tokens)),
            _ => Ids::Wide(cast_slice(tokens)),
        };
        Document { ids, word_starts: cast_slice(&self.map[self.layout[1].clone()]), first: 0 }
    }
}

/// A document in a shard: a view of its token ids and word starts.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    ids: Ids<'a>,
    /// Bits of the whole shard.
    word_starts: &'a [u64],
    /// The document's first token in the shard.
    first: usize,
}

#[derive(Clone, Copy)]
enum Ids<'a> {
    Narrow(&'a [u16]),
    Wide(&'a [u32]),
}

impl<'a> Document<'a> {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        match self.ids {
            Ids::Narrow(ids) => ids.len(),
            Ids::Wide(ids) => ids.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of `range`.
    ///
    /// # Panics
    /// If `range` goes beyond the document.
    pub fn slice(&self, range: Range<usize>) -> Document<'a> {
        let first = self.first + range.start;
        let ids = match self.ids {
            Ids::Narrow(ids) => Ids::Narrow(&ids[range]),
            Ids::Wide(ids) => Ids::Wide(&ids[range]),
        };
        Document { ids, first, ..*self }
    }

    /// Token ids in order.
    pub fn ids(&self) -> impl Iterator<Item = u32> + use<'a> {
        let ids = self.ids;
        let len = self.len();
        (0..len).map(move |index| match ids {
            Ids::Narrow(ids) => u32::from(ids[index]),
            Ids::Wide(ids) => ids[index],
        })
    }

    /// For each token whether a word begins at it.
    pub fn word_starts(&self) -> impl Iterator<Item = bool> + use<'a> {
        let word_starts = self.word_starts;
        (self.first..self.first + self.len()).map(move |bit| word_starts[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn largest_id(&self) -> Option<u32> {
        match self.ids {
            Ids::Narrow(ids) => ids.iter().max().copied().map(u32::from),
            Ids::Wide(ids) => ids.iter().max().copied(),
        }
    }
}

/// Maps a file of a prepared folder after checking its size and BLAKE3.
pub(super) fn map_verified(path: &Path, bytes: u64, blake3: &str) -> Result<Mmap> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(damaged(path, "missing")),
        opened => opened.map_err(Error::io(path))?,
    };
    let length = file.metadata().map_err(Error::io(path))?.len();
    if length != bytes {
        return Err(damaged(path, &format!("{length} bytes long instead of {bytes}")));
    }
    // SAFETY: the map is only read. A prepared folder is replaced by renaming, never written in place, so the bytes
    // change under the map only if somebody edits the file by hand.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
    if blake3::hash(&map).to_hex().as_str() != blake3 {
        return Err(damaged(path, "its checksum is wrong"));
    }
    Ok(map)
}

/// The error for a file of a prepared folder that isn't as it was made.
pub(super) fn damaged(path: &Path, problem: &str) -> Error {
    let remedy =
        "run `cloze prepare` again with --overwrite; a run's own data is made again once its folder is removed";
    Error::file(path, format!("damaged: {problem}; {remedy}"))
}
