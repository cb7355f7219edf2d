//! A shard: a file of token ids.
//!
//! ```text
//! header        64 bytes, see `Header`
//! offsets       u64 × (documents + 1): where each document begins among the tokens, and the end
//! word starts   u64 × ⌈tokens / 64⌉: bit i % 64 of word i / 64 is set where token i begins a word
//! tokens        u16 or u32 × tokens
//! ```
//! All numbers are little-endian.

mod reader;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::ops::Range;
use std::path::Path;

use bytemuck::{Pod, Zeroable, cast_slice};

pub(super) use reader::Shard;

use super::manifest::ShardEntry;
use super::tokenizer::Encoded;
use crate::{Error, Remedy, Result};

const _: () = assert!(cfg!(target_endian = "little"), "shards are read as they lie: the host must be little-endian");

const MAGIC: [u8; 8] = *b"CLOZESHD";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

#[derive(Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    /// Bytes per token: 2 or 4.
    width: u32,
    tokens: u64,
    documents: u64,
    reserved: [u64; 4],
}

impl Header {
    /// Where offsets, word starts and tokens lie in the file, or `None` if they'd be larger than any file.
    fn layout(&self) -> Option<[Range<u64>; 3]> {
        let first = size_of::<Header>() as u64;
        let offsets = first..self.documents.checked_add(1)?.checked_mul(8)?.checked_add(first)?;
        let starts = offsets.end..self.tokens.div_ceil(64).checked_mul(8)?.checked_add(offsets.end)?;
        let tokens = starts.end..self.tokens.checked_mul(u64::from(self.width))?.checked_add(starts.end)?;
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
        let header = shard.header();
        let sections = shard.sections(&header);
        let blake3 = write_synced(&folder.join(&name), &sections)?;
        let bytes = sections.iter().map(|section| section.len() as u64).sum();
        Ok(ShardEntry { file: name, tokens: header.tokens, documents: header.documents, bytes, blake3 })
    }

    fn header(&self) -> Header {
        let (tokens, documents) = (self.tokens(), self.documents());
        Header { magic: MAGIC, version: VERSION, width: self.width, tokens, documents, reserved: [0; 4] }
    }

    fn sections<'a>(&'a self, header: &'a Header) -> [&'a [u8]; 4] {
        [bytemuck::bytes_of(header), cast_slice(&self.offsets), cast_slice(&self.word_starts), &self.tokens]
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

/// The error for a file of a prepared folder that is damaged.
pub(super) fn damaged(path: &Path, problem: &str) -> Error {
    Error::file(path, format!("damaged: {problem}")).with(Remedy::PrepareAgain)
}

/// Reads a small file of a prepared folder, and checks its size and BLAKE3.
pub(super) fn read_verified(path: &Path, bytes: u64, blake3: &str) -> Result<Vec<u8>> {
    let (mut file, mut content) = (open(path, bytes)?, Vec::new());
    file.read_to_end(&mut content).map_err(Error::io(path))?;
    match blake3::hash(&content).to_hex().as_str() == blake3 {
        true => Ok(content),
        false => Err(damaged(path, "its checksum is wrong")),
    }
}

/// Opens a file of a prepared folder that has this many bytes.
fn open(path: &Path, bytes: u64) -> Result<File> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(damaged(path, "missing")),
        opened => opened.map_err(Error::io(path))?,
    };
    let length = file.metadata().map_err(Error::io(path))?.len();
    match length == bytes {
        true => Ok(file),
        false => Err(damaged(path, &format!("{length} bytes long instead of {bytes}"))),
    }
}
