//! Documents, streamed from text files in bounded memory.

use std::collections::VecDeque;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::cut::cut_point;
use super::inputs::{self, Format, Input};
use super::lines::{Line, Lines};
use crate::{Error, Result};

/// A longer document is cut into several.
const DOCUMENT_BYTES: usize = 16 << 20;
/// A longer line of a .jsonl file is refused, since it can't be parsed in parts.
const JSON_LINE_BYTES: usize = 256 << 20;

/// What one document is in a text file. In a .jsonl file each line is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentSplit {
    /// A whole file.
    #[default]
    File,
    /// A line.
    Line,
    /// A run of lines up to a blank line.
    BlankLine,
}

#[derive(Clone, Debug)]
pub struct CorpusOptions {
    /// What one document is in a text file.
    pub split: DocumentSplit,
    /// The key that holds the text in a .jsonl file.
    pub field: String,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        CorpusOptions { split: DocumentSplit::File, field: "text".into() }
    }
}

/// What was read, and what had to be mended on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Files read.
    pub files: u64,
    /// Documents handed out.
    pub documents: u64,
    /// UTF-8 bytes of these documents.
    pub bytes: u64,
    /// Invalid byte sequences that became U+FFFD.
    pub replaced: u64,
    /// Documents skipped because there was nothing but white space in them.
    pub empty: u64,
    /// Cuts made because a document was longer than 16 MiB.
    pub cut: u64,
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
        }
    }
}

/// An iterator over the documents of files. After an error it ends.
pub struct Corpus {
    options: CorpusOptions,
    inputs: std::vec::IntoIter<Input>,
    current: Option<OpenFile>,
    report: Report,
    progress: ProgressBar,
}

impl Corpus {
    /// Finds the files behind `paths` (files, folders, or patterns with `*` and `?` in the last part) and opens none yet.
    ///
    /// # Errors
    /// A path is missing, of a kind that isn't read, or stands for no file.
    pub fn open(paths: &[PathBuf], options: CorpusOptions) -> Result<Self> {
        let inputs = inputs::expand(paths)?;
        Ok(Corpus {
            options,
            inputs: inputs.into_iter(),
            current: None,
            report: Report::default(),
            progress: ProgressBar::hidden(),
        })
    }

    /// Shows a bar on standard error while the corpus is read, when that is a terminal.
    pub fn with_progress(mut self, message: &'static str) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        self.progress = ProgressBar::new(self.inputs.as_slice().iter().map(|input| input.bytes).sum())
            .with_style(style.expect("a constant template"))
            .with_message(message);
        self
    }

    /// Counts up to now.
    pub fn report(&self) -> Report {
        self.report
    }

    fn next_document(&mut self) -> Result<Option<String>> {
        loop {
            let Some(file) = &mut self.current else {
                let Some(input) = self.inputs.next() else { return Ok(None) };
                self.current = Some(OpenFile::new(input, &self.progress)?);
                self.report.files += 1;
                continue;
            };
            match file.next_document(&self.options, &mut self.report)? {
                Some(text) if text.trim_ascii().is_empty() => self.report.empty += 1,
                Some(text) => {
                    file.documents += 1;
                    self.report.documents += 1;
                    self.report.bytes += text.len() as u64;
                    return Ok(Some(text));
                }
                None if file.documents == 0 => {
                    return Err(Error::file(&file.input.path, "there is no text in this file: leave it out"));
                }
                None => self.current = None,
            }
        }
    }
}

impl Iterator for Corpus {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_document().transpose();
        if !matches!(next, Some(Ok(_))) {
            (self.inputs, self.current) = (Vec::new().into_iter(), None);
            self.progress.finish_and_clear();
        }
        next
    }
}

struct OpenFile {
    input: Input,
    lines: Lines,
    /// A line that was read but belongs to the next document.
    carried: Option<Line>,
    /// What is left of a document that was cut.
    parts: VecDeque<String>,
    /// Documents handed out.
    documents: u64,
}

impl OpenFile {
    fn new(input: Input, progress: &ProgressBar) -> Result<Self> {
        let limit = match input.format {
            Format::Text => DOCUMENT_BYTES,
            Format::Jsonl => JSON_LINE_BYTES,
        };
        let lines = Lines::open(&input, limit, progress)?;
        Ok(OpenFile { input, lines, carried: None, parts: VecDeque::new(), documents: 0 })
    }

    fn next_document(&mut self, options: &CorpusOptions, report: &mut Report) -> Result<Option<String>> {
        match (self.input.format, options.split) {
            (Format::Jsonl, _) => self.next_json(&options.field, report),
            (Format::Text, DocumentSplit::Line) => self.next_line(report),
            (Format::Text, DocumentSplit::File) => self.next_block(report, false),
            (Format::Text, DocumentSplit::BlankLine) => self.next_block(report, true),
        }
    }

    fn next_line(&mut self, report: &mut Report) -> Result<Option<String>> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        report.cut += u64::from(!line.ended);
        Ok(Some(utf8(line.bytes, &mut report.replaced)))
    }

    /// Lines up to the end of the file or, if `until_blank`, up to a blank line.
    fn next_block(&mut self, report: &mut Report, until_blank: bool) -> Result<Option<String>> {
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
                report.cut += 1;
                self.carried = Some(line);
                break;
            }
            if lines > 0 {
                text.push(b'\n');
            }
            lines += 1;
            text.extend_from_slice(&line.bytes);
            if !line.ended {
                report.cut += 1;
                break;
            }
        }
        Ok((lines > 0).then(|| utf8(text, &mut report.replaced)))
    }

    /// The text of the next line that isn't blank.
    fn next_json(&mut self, field: &str, report: &mut Report) -> Result<Option<String>> {
        if let Some(part) = self.parts.pop_front() {
            return Ok(Some(part));
        }
        while let Some(line) = self.lines.next()? {
            if !line.ended {
                return Err(self
                    .lines
                    .bad_line(format!("longer than {} MiB: split the record", JSON_LINE_BYTES >> 20)));
            }
            let line = utf8(line.bytes, &mut report.replaced);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mut text = json_text(&line, field).map_err(|problem| self.lines.bad_line(problem))?;
            while text.len() > DOCUMENT_BYTES {
                let rest = text.split_off(cut_point(text.as_bytes(), DOCUMENT_BYTES));
                self.parts.push_back(std::mem::replace(&mut text, rest));
                report.cut += 1;
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

/// The string under `field` of a JSON object, or what is wrong with the line.
fn json_text(line: &str, field: &str) -> Result<String, String> {
    let value = serde_json::from_str(line).map_err(|error| {
        let problem = error.to_string().replace("line 1 column", "column");
        format!("not JSON: {problem}; mend the line, or take it out")
    })?;
    let serde_json::Value::Object(mut object) = value else {
        return Err(format!("not a JSON object, so it has no \"{field}\"; mend the line, or take it out"));
    };
    match object.remove(field) {
        Some(serde_json::Value::String(text)) => Ok(text),
        Some(_) => Err(format!("\"{field}\" is not a string; mend the line, or take it out")),
        None => {
            let keys: Vec<String> = object.keys().map(|key| format!("\"{key}\"")).collect();
            Err(format!(
                "no key \"{field}\"; it has {}: name the key of the text with --field, or data.field in a config",
                keys.join(", ")
            ))
        }
    }
}
