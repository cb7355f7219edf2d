//! Streams documents from text files in bounded memory.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cut::cut_point;
use super::inputs::{self, Format, Input};
use super::json_lines::text_of;
use super::lines::{Line, Lines};
use super::notices::{BAD_LINES, BadLines, NOT_UTF8, NOT_UTF8_REMEDY, Notices};
use super::progress::{self, Progress};
use crate::{Error, Result};

/// Longer documents are cut into several.
const DOCUMENT_BYTES: usize = 16 << 20;
/// Longer lines of a .jsonl file are refused, since they can't be parsed in parts.
const JSON_LINE_BYTES: usize = 256 << 20;

/// What counts as one document in a text file. In a .jsonl file each line is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentSplit {
    /// A whole file.
    #[default]
    File,
    /// A line.
    Line,
    /// The lines up to a blank line.
    BlankLine,
}

#[derive(Clone, Debug)]
pub struct CorpusOptions {
    /// What counts as one document in a text file.
    pub split: DocumentSplit,
    /// The key that holds the text in a .jsonl file.
    pub field: String,
    /// Largest share of .jsonl lines that may be skipped because they have no usable text.
    pub max_bad_lines: f64,
}

/// The default of `CorpusOptions::max_bad_lines`.
pub const MAX_BAD_LINES: f64 = 0.01;

impl Default for CorpusOptions {
    fn default() -> Self {
        CorpusOptions { split: DocumentSplit::File, field: "text".into(), max_bad_lines: MAX_BAD_LINES }
    }
}

/// What was read, and what had to be repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Files read.
    pub files: u64,
    /// Documents handed out.
    pub documents: u64,
    /// UTF-8 bytes of these documents.
    pub bytes: u64,
    /// Invalid byte sequences, and halves of surrogate pairs in JSON, that became U+FFFD.
    pub replaced: u64,
    /// Documents skipped because there was nothing but white space in them.
    pub empty: u64,
    /// Cuts made because a document was longer than 16 MiB.
    pub cut: u64,
    /// Files skipped because there was no text in them.
    #[serde(default)]
    pub empty_files: u64,
    /// Lines of .jsonl files skipped because there was no usable text in them.
    #[serde(default)]
    pub skipped: u64,
}

impl Report {
    /// The report of two corpora together.
    pub fn plus(self, other: Report) -> Report {
        Report {
            files: self.files + other.files,
            documents: self.documents + other.documents,
            bytes: self.bytes + other.bytes,
            replaced: self.replaced + other.replaced,
            empty: self.empty + other.empty,
            cut: self.cut + other.cut,
            empty_files: self.empty_files + other.empty_files,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// An iterator over the documents of files. After an error it ends.
pub struct Corpus {
    options: CorpusOptions,
    inputs: std::vec::IntoIter<Input>,
    current: Option<OpenFile>,
    report: Report,
    progress: Arc<dyn Progress>,
    bad_lines: BadLines,
    replaced: Notices,
    skipped: Notices,
    /// The first file without text. The error names it if no file has any.
    without_text: Option<PathBuf>,
    /// Whether the iterator has ended.
    ended: bool,
}

impl Corpus {
    /// Finds the files behind `paths` (files, folders, or patterns) and opens none yet.
    ///
    /// # Errors
    /// A path is missing, of a kind that isn't read, or stands for no file.
    pub fn open(paths: &[PathBuf], options: CorpusOptions) -> Result<Self> {
        let found = inputs::expand(paths)?;
        found.tell();
        let progress = progress::silent();
        Ok(Corpus {
            bad_lines: BadLines::new(options.max_bad_lines),
            replaced: Notices::new(NOT_UTF8, &progress),
            skipped: Notices::new(BAD_LINES, &progress),
            options,
            inputs: found.inputs.into_iter(),
            current: None,
            report: Report::default(),
            progress,
            without_text: None,
            ended: false,
        })
    }

    /// Shows the progress of reading if [`super::show_progress`] was called; `what` describes the work, such as "reading".
    pub fn with_progress(mut self, what: &'static str) -> Self {
        self.progress = progress::begin(what, self.inputs.as_slice().iter().map(|input| input.bytes).sum());
        self.replaced = Notices::new(NOT_UTF8, &self.progress);
        self.skipped = Notices::new(BAD_LINES, &self.progress);
        self
    }

    /// Counts up to now.
    pub fn report(&self) -> Report {
        self.report
    }

    fn next_document(&mut self) -> Result<Option<String>> {
        loop {
            let Some(file) = &mut self.current else {
                let Some(input) = self.inputs.next() else { return self.finish().map(|()| None) };
                self.current = Some(OpenFile::new(input, &self.progress)?);
                self.report.files += 1;
                continue;
            };
            match file.next_document(&self.options, &mut self.bad_lines)? {
                Some(text) if text.trim_ascii().is_empty() => self.report.empty += 1,
                Some(text) => {
                    file.documents += 1;
                    self.report.documents += 1;
                    self.report.bytes += text.len() as u64;
                    return Ok(Some(text));
                }
                None => self.finish_file(),
            }
        }
    }

    fn finish_file(&mut self) {
        let Some(file) = self.current.take() else { return };
        self.report.replaced += file.replaced;
        self.report.cut += file.cut;
        self.report.skipped += file.skipped;
        self.replaced.file(&file.input.path, file.replaced, NOT_UTF8_REMEDY);
        let first = file.first_skipped.map_or(String::new(), |problem| format!("; the first is {problem}"));
        self.skipped.file(&file.input.path, file.skipped, &first);
        if file.documents == 0 {
            self.report.empty_files += 1;
            self.without_text.get_or_insert(file.input.path);
        }
    }

    /// Is called after the last file.
    fn finish(&mut self) -> Result<()> {
        self.bad_lines.finish()?;
        self.replaced.finish();
        self.skipped.finish();
        let Some(first) = &self.without_text else { return Ok(()) };
        let others = self.report.empty_files - 1;
        if self.report.documents == 0 {
            let others = if others > 0 { format!(", nor in the {others} others") } else { String::new() };
            return Err(Error::file(first, format!("there is no text in this file{others}: leave it out")));
        }
        let others = if others > 0 { format!(" and {others} others") } else { String::new() };
        self.progress.above(&|| log::info!("{}{others}: passed over, without text", first.display()));
        Ok(())
    }
}

impl Iterator for Corpus {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_document().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        if self.ended {
            self.progress.finish();
        }
        next
    }
}

struct OpenFile {
    input: Input,
    /// Whether each line is a JSON object.
    is_json: bool,
    lines: Lines,
    /// A line that was read but belongs to the next document.
    carried: Option<Line>,
    /// What is left of a document that was cut.
    parts: VecDeque<String>,
    /// As in the report.
    documents: u64,
    replaced: u64,
    cut: u64,
    skipped: u64,
    /// Which line was skipped first, and why.
    first_skipped: Option<String>,
}

impl OpenFile {
    fn new(input: Input, progress: &Arc<dyn Progress>) -> Result<Self> {
        let mut lines = Lines::open(&input, DOCUMENT_BYTES, progress)?;
        let is_json = match input.format {
            Format::Text => false,
            Format::Jsonl => true,
            Format::Either => lines.begins_with(b'{')?,
        };
        if is_json {
            lines.set_limit(JSON_LINE_BYTES);
        }
        Ok(OpenFile {
            input,
            is_json,
            lines,
            carried: None,
            parts: VecDeque::new(),
            documents: 0,
            replaced: 0,
            cut: 0,
            skipped: 0,
            first_skipped: None,
        })
    }

    fn next_document(&mut self, options: &CorpusOptions, bad_lines: &mut BadLines) -> Result<Option<String>> {
        match (self.is_json, options.split) {
            (true, _) => self.next_json(&options.field, bad_lines),
            (false, DocumentSplit::Line) => self.next_line(),
            (false, DocumentSplit::File) => self.next_block(false),
            (false, DocumentSplit::BlankLine) => self.next_block(true),
        }
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        self.cut += u64::from(!line.ended);
        Ok(Some(utf8(line.bytes, &mut self.replaced)))
    }

    /// Lines up to the end of the file or, if `until_blank`, up to a blank line.
    fn next_block(&mut self, until_blank: bool) -> Result<Option<String>> {
        let mut text = Vec::new();
        let mut lines = 0;
        while let Some(line) = self.carried.take().map_or_else(|| self.lines.next(), |line| Ok(Some(line)))? {
            if until_blank && line.ended && line.bytes.trim_ascii().is_empty() {
                if lines == 0 {
                    continue;
                }
                break;
            }
            if lines > 0 && text.len() + line.bytes.len() >= DOCUMENT_BYTES {
                self.cut += 1;
                self.carried = Some(line);
                break;
            }
            if lines > 0 {
                text.push(b'\n');
            }
            lines += 1;
            text.extend_from_slice(&line.bytes);
            if !line.ended {
                self.cut += 1;
                break;
            }
        }
        Ok((lines > 0).then(|| utf8(text, &mut self.replaced)))
    }

    /// The text of the next line that isn't blank.
    fn next_json(&mut self, field: &str, bad_lines: &mut BadLines) -> Result<Option<String>> {
        if let Some(part) = self.parts.pop_front() {
            return Ok(Some(part));
        }
        while let Some(line) = self.lines.next()? {
            if !line.ended {
                return Err(self
                    .lines
                    .bad_line(format!("longer than {} MiB: split the record", JSON_LINE_BYTES >> 20)));
            }
            let line = utf8(line.bytes, &mut self.replaced);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mut text = match text_of(&line, field, &mut self.replaced) {
                Ok(text) => text,
                Err(problem) => {
                    let (remedy, problem) = (problem.remedy(), format!("line {}: {problem}", self.lines.number));
                    bad_lines.bad(&self.input.path, problem.clone(), remedy)?;
                    self.skipped += 1;
                    self.first_skipped.get_or_insert(problem);
                    continue;
                }
            };
            bad_lines.good();
            while text.len() > DOCUMENT_BYTES {
                let rest = text.split_off(cut_point(text.as_bytes(), DOCUMENT_BYTES));
                self.parts.push_back(std::mem::replace(&mut text, rest));
                self.cut += 1;
            }
            self.parts.push_back(text);
            return Ok(self.parts.pop_front());
        }
        Ok(None)
    }
}

/// `bytes` as text; what isn't UTF-8 is replaced and counted.
pub(super) fn utf8(bytes: Vec<u8>, replaced: &mut u64) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        *replaced += error.as_bytes().utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count() as u64;
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })
}
