//! Writes vectors as JSON lines or as a NumPy file, to standard output or to a file that appears whole or not at all.

use super::output::{self, Stdout};
use crate::files::Replacement;
use anyhow::Context;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, Write};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line per text: {"text": …, "embedding": […]}
    Jsonl,
    /// A NumPy array of float32, one row per text
    Npy,
}

#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    embedding: &'a [f32],
}

/// Writes vectors one by one.
pub(super) struct VectorWriter {
    format: Format,
    width: usize,
    rows: u64,
    out: Out,
}

enum Out {
    Stdout(BufWriter<Stdout>),
    /// A NumPy file for standard output. It begins with the number of rows, which is known only at the end.
    Spool(BufWriter<File>),
    File(BufWriter<Replacement>),
}

impl VectorWriter {
    /// For vectors of `width` values, to the file `path` or to standard output.
    ///
    /// # Errors
    /// The file's folder can't be written to, or an array would go to a terminal.
    pub fn new(format: Format, width: usize, path: Option<&Path>) -> anyhow::Result<Self> {
        let out = match (path, format) {
            (Some(path), _) => Out::File(BufWriter::new(Replacement::new(path)?)),
            (None, Format::Jsonl) => Out::Stdout(BufWriter::new(output::stdout())),
            (None, Format::Npy) => {
                let terminal = io::stdout().is_terminal();
                anyhow::ensure!(!terminal, "--format npy: standard output is a terminal; name a file with --out");
                Out::Spool(BufWriter::new(tempfile::tempfile().context("temporary folder")?))
            }
        };
        let mut writer = VectorWriter { format, width, rows: 0, out };
        if format == Format::Npy {
            writer.write(&npy_header(0, width))?;
        }
        Ok(writer)
    }

    /// # Errors
    /// The disk is full, or nobody reads on.
    pub fn push(&mut self, text: &str, vector: &[f32]) -> anyhow::Result<()> {
        self.rows += 1;
        let bytes = match self.format {
            Format::Jsonl => serde_json::to_string(&Line { text, embedding: vector })?.into_bytes(),
            Format::Npy => return self.write(&crate::model::weights::bytes(vector)),
        };
        self.write(&bytes)?;
        self.write(b"\n")
    }

    /// Flushes standard output, so that a reader sees the lines early.
    ///
    /// # Errors
    /// As `push`.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.out {
            Out::Stdout(out) => Ok(out.flush()?),
            Out::Spool(_) | Out::File(_) => Ok(()),
        }
    }

    /// Writes the number of rows, which is known only now, and lets the file appear.
    ///
    /// # Errors
    /// As `push`; or the file can't replace an existing one.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.complete().with_context(|| self.name())?;
        let name = self.name();
        match self.out {
            Out::File(out) => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(|| name)?;
                Ok(file.commit()?)
            }
            Out::Stdout(_) | Out::Spool(_) => Ok(()),
        }
    }

    fn complete(&mut self) -> io::Result<()> {
        let header = npy_header(self.rows, self.width);
        match &mut self.out {
            Out::Stdout(out) => out.flush(),
            Out::Spool(spool) => {
                spool.rewind()?;
                spool.write_all(&header)?;
                spool.rewind()?;
                let mut out = output::stdout();
                io::copy(spool.get_mut(), &mut out)?;
                out.flush()
            }
            Out::File(out) => {
                if self.format == Format::Npy {
                    out.rewind()?;
                    out.write_all(&header)?;
                }
                out.flush()
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = match &mut self.out {
            Out::Stdout(out) => out.write_all(bytes),
            Out::Spool(out) => out.write_all(bytes),
            Out::File(out) => out.write_all(bytes),
        };
        written.with_context(|| self.name())
    }

    fn name(&self) -> String {
        match &self.out {
            Out::Stdout(_) => "standard output".into(),
            Out::Spool(_) => "standard output, through the temporary folder".into(),
            Out::File(out) => out.get_ref().path().display().to_string(),
        }
    }
}

/// The header of a NumPy file, format 1.0. It has 128 bytes whatever the number of rows, so that can be filled in at the end.
fn npy_header(rows: u64, width: usize) -> Vec<u8> {
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend_from_slice(format!("{dictionary:<117}\n").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_long_for_many_rows_as_for_none() {
        for (rows, width) in [(0, 1), (12, 384), (u64::MAX, 1 << 20)] {
            let header = npy_header(rows, width);
            assert_eq!(header.len(), 128);
            assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])), 128 - 10);
            assert!(header.ends_with(b" \n"), "{rows} rows");
        }
    }
}
