//! Reads the lines of a file that may be compressed, may not be UTF-8 and may have lines larger than memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cut::cut_point;
use super::inputs::{Compression, Input};
use super::progress::Progress;
use crate::{Error, Result};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// A line without its line end, or a part of a line that is longer than the limit.
pub(super) struct Line {
    pub bytes: Vec<u8>,
    /// False where the line was cut and goes on in the next one.
    pub ended: bool,
}

/// Reads a file line by line; no line is longer than `limit` bytes.
pub(super) struct Lines {
    input: Input,
    reader: Box<dyn BufRead + Send>,
    /// Bytes read from the disk, before decompression.
    position: Arc<AtomicU64>,
    /// What is left of a line that was cut.
    rest: Vec<u8>,
    limit: usize,
    /// Number of the line last returned, from 1.
    pub number: u64,
}

impl Lines {
    /// # Errors
    /// The file can't be opened or read, is damaged, or is UTF-16.
    pub fn open(input: &Input, limit: usize, progress: &Arc<dyn Progress>) -> Result<Self> {
        let file = File::open(&input.path).map_err(Error::io(&input.path))?;
        let position = Arc::new(AtomicU64::new(0));
        let counted = Counted { file, position: position.clone(), progress: progress.clone() };
        let reader = decompress(counted, input.compression).map_err(Error::io(&input.path))?;
        Self::new(input.clone(), reader, position, limit)
    }

    /// The lines of standard input.
    ///
    /// # Errors
    /// It can't be read, or is UTF-16.
    pub fn stdin(limit: usize) -> Result<Self> {
        let reader = Box::new(BufReader::with_capacity(BUFFER, io::stdin()));
        Self::new(Input::stdin(), reader, Arc::default(), limit)
    }

    fn new(input: Input, reader: Box<dyn BufRead + Send>, position: Arc<AtomicU64>, limit: usize) -> Result<Self> {
        let mut lines = Lines { input, reader, position, rest: Vec::new(), limit, number: 0 };
        lines.skip_byte_order_mark()?;
        Ok(lines)
    }

    /// Whether the file's first byte is this one. Must be asked before the first line is read.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn begins_with(&mut self, byte: u8) -> Result<bool> {
        let first = self.reader.fill_buf().map(|start| start.first().copied());
        first.map(|first| first == Some(byte)).map_err(|source| self.damage(source))
    }

    /// The file, as messages name it.
    pub fn path(&self) -> &Path {
        &self.input.path
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// An error about the line last returned.
    pub fn bad_line(&self, problem: impl std::fmt::Display) -> Error {
        Error::file(&self.input.path, format!("line {}: {problem}", self.number))
    }

    /// The next line, or `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Line>> {
        let continued = !self.rest.is_empty();
        let mut bytes = std::mem::take(&mut self.rest);
        // One byte more than the limit distinguishes a line of just that length from a longer one.
        let room = (self.limit + 1).saturating_sub(bytes.len()) as u64;
        let read = self.reader.by_ref().take(room).read_until(b'\n', &mut bytes);
        read.map_err(|source| self.damage(source))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += u64::from(!continued);
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        } else if bytes.len() > self.limit {
            self.rest = bytes.split_off(cut_point(&bytes, self.limit));
        }
        Ok(Some(Line { bytes, ended: self.rest.is_empty() }))
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        let start = self.reader.fill_buf();
        match start.map(|start| start.get(..3.min(start.len())).unwrap_or_default().to_vec()) {
            Ok(start) if start == [0xEF, 0xBB, 0xBF] => self.reader.consume(3),
            Ok(start) if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) => {
                return Err(Error::file(&self.input.path, "the text is UTF-16: convert it to UTF-8"));
            }
            Ok(_) => {}
            Err(source) => return Err(self.damage(source)),
        }
        Ok(())
    }

    fn damage(&self, source: io::Error) -> Error {
        let at = self.position.load(Ordering::Relaxed);
        match self.input.compression {
            Compression::None => Error::Io { path: self.input.path.clone(), source },
            _ if source.kind() == io::ErrorKind::UnexpectedEof || at == self.input.bytes => {
                let problem = format!("the compressed data ends too early or is damaged, at byte {at} ({source})");
                Error::file(&self.input.path, problem + ": fetch or compress the file again")
            }
            _ => {
                let problem = format!("the compressed data is damaged before byte {at} ({source})");
                Error::file(&self.input.path, problem + ": fetch or compress the file again")
            }
        }
    }
}

fn decompress(file: Counted, compression: Compression) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::with_capacity(BUFFER, file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(file))),
        Compression::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(file)?)),
    })
}

/// A file that reports how far it has been read.
struct Counted {
    file: File,
    position: Arc<AtomicU64>,
    progress: Arc<dyn Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        self.progress.advance(read as u64);
        Ok(read)
    }
}
