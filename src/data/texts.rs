//! Texts that a model reads one by one. Every line is a text, even an empty one.

use std::path::PathBuf;

use super::corpus::utf8;
use super::inputs::Input;
use super::lines::Lines;
use super::notices::{NOT_UTF8, NOT_UTF8_REMEDY, Notices};
use super::progress;
use crate::Result;

/// Longer lines are refused: no single text is that long.
const LINE_BYTES: usize = 16 << 20;

/// An iterator over the lines of files, or of standard input. After an error it ends. Bytes that are not UTF-8 are replaced,
/// which is logged with the file.
pub struct Texts {
    inputs: std::vec::IntoIter<Input>,
    current: Option<Lines>,
    /// Number of replacements in the current file.
    replaced: u64,
    notices: Notices,
}

impl Texts {
    /// Text files, decompressed where their names end in .gz or .zst; standard input if there are none. Finds the files,
    /// and opens none yet.
    ///
    /// # Errors
    /// A file is missing; standard input can't be read.
    pub fn open(files: &[PathBuf]) -> Result<Self> {
        let inputs: Vec<Input> = files.iter().map(|path| Input::text(path)).collect::<Result<_>>()?;
        let current = if files.is_empty() { Some(Lines::stdin(LINE_BYTES)?) } else { None };
        let notices = Notices::new(NOT_UTF8, &progress::silent());
        Ok(Texts { inputs: inputs.into_iter(), current, replaced: 0, notices })
    }

    fn next_text(&mut self) -> Result<Option<String>> {
        loop {
            let Some(lines) = &mut self.current else {
                let Some(input) = self.inputs.next() else {
                    self.notices.finish();
                    return Ok(None);
                };
                self.current = Some(Lines::open(&input, LINE_BYTES, &progress::silent())?);
                continue;
            };
            match lines.next()? {
                Some(line) if !line.ended => {
                    return Err(lines.bad_line(format!("longer than {} MiB: split it", LINE_BYTES >> 20)));
                }
                Some(line) => return Ok(Some(utf8(line.bytes, &mut self.replaced))),
                None => {
                    self.notices.file(lines.path(), std::mem::take(&mut self.replaced), NOT_UTF8_REMEDY);
                    self.current = None;
                }
            }
        }
    }
}

impl Iterator for Texts {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_text().transpose();
        if !matches!(next, Some(Ok(_))) {
            (self.inputs, self.current) = (Vec::new().into_iter(), None);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_line_is_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, packed] = ["a.tsv", "b.GZ"].map(|name| folder.path().join(name));
        std::fs::write(&plain, b"\xEF\xBB\xBFone\r\n\n two\xFF\n\nthree").unwrap();
        let mut gzip = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), Default::default());
        gzip.write_all(b"\nfour\n").unwrap();
        gzip.finish().unwrap();
        let mut texts = Texts::open(&[plain, packed]).unwrap();
        let read: Vec<String> = texts.by_ref().map(Result::unwrap).collect();
        assert_eq!(read, ["one", "", " two\u{FFFD}", "", "three", "", "four"]);
        assert!(texts.next().is_none());
    }

    #[test]
    fn what_is_no_line_of_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.txt");
        std::fs::write(&path, [&b"short\n"[..], &vec![b'x'; LINE_BYTES + 1]].concat()).unwrap();
        let mut texts = Texts::open(std::slice::from_ref(&path)).unwrap();
        assert_eq!(texts.next().unwrap().unwrap(), "short");
        let error = texts.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("long.txt: line 2: longer than 16 MiB"), "{error}");
        assert!(texts.next().is_none());

        let message = |path| Texts::open(&[path]).err().unwrap().to_string();
        assert!(message(folder.path().to_path_buf()).contains("name a file, not a folder"));
        assert!(message(folder.path().join("gone.txt")).contains("check the path"));
    }
}
