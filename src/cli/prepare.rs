//! `cloze prepare`: tokenises text for training.

use super::choices::choice;
use super::output;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::data::{
    CorpusOptions, DocumentSplit, MAX_BAD_LINES, PrepareOptions, Report, SplitEntry, Tokenizer, Validation, prepare,
};
use crate::train::interrupt;

/// Tokenise text once, into a folder for training
///
/// The folder appears only once it is complete. It holds shards of token ids, a copy of the tokenizer, and
/// checksums of everything. A config names it as data.prepared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloze prepare --tokenizer tokenizer.json --out data books/
  cloze prepare --tokenizer tokenizer.json --out data --documents blank-line --validation valid.txt train.txt.gz
  cloze prepare --tokenizer tokenizer.json --out data --field content --overwrite 'crawl/part-*.jsonl.zst'")]
pub struct Args {
    /// Text: .txt or .jsonl files, also compressed as .gz or .zst; folders; patterns with *, ? and **
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The tokenizer.json to use
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What counts as one document in a text file; in a .jsonl file each line is one
    #[arg(long, alias = "split", value_parser = choice::<DocumentSplit>(), default_value = "file")]
    documents: DocumentSplit,
    /// The key that holds the text in .jsonl files
    #[arg(long, default_value = "text")]
    field: String,
    /// Skip .jsonl lines without a usable text, up to this share of all lines; more are an error
    #[arg(long, value_name = "SHARE", default_value_t = MAX_BAD_LINES)]
    max_bad_lines: f64,
    /// Share of the documents to hold out for validation; if there are few, the end of each is held out
    #[arg(long, value_name = "FRACTION", default_value_t = 0.01)]
    validation_fraction: f64,
    /// Text for validation, instead of holding some out; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "validation_fraction")]
    validation: Vec<PathBuf>,
    /// Replace prepared data that is already in the folder
    #[arg(long)]
    overwrite: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    interrupt::install()?;
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let validation = match args.validation.is_empty() {
        true => Validation::Fraction(args.validation_fraction),
        false => Validation::Files(args.validation),
    };
    let options = PrepareOptions {
        corpus: CorpusOptions { split: args.documents, field: args.field, max_bad_lines: args.max_bad_lines },
        validation,
        overwrite: args.overwrite,
        stop: interrupt::flag(),
        ..PrepareOptions::default()
    };
    let manifest = prepare(&tokenizer, &args.files, &options, &args.out)?;
    writeln!(output::stdout(), "{}: vocabulary of {}", args.out.display(), manifest.vocab_size)?;
    print_split("training", &manifest.train)?;
    print_split("validation", &manifest.validation)?;
    Ok(print_report(&manifest.report)?)
}

fn print_split(name: &str, split: &SplitEntry) -> io::Result<()> {
    writeln!(
        output::stdout(),
        "  {name}: {} tokens, {} documents, {} shards",
        split.tokens,
        split.documents,
        split.shards.len()
    )
}

/// Prints what was read and, if anything had to be repaired or left out, what.
pub(super) fn print_report(report: &Report) -> io::Result<()> {
    let Report { files, documents, bytes, replaced, empty, cut, empty_files, skipped } = report;
    writeln!(output::stdout(), "  read: {files} files, {documents} documents, {bytes} bytes of text")?;
    let mended = [
        (replaced, "byte sequences that are not UTF-8 were replaced by U+FFFD"),
        (empty, "empty documents were left out"),
        (empty_files, "files without text were passed over"),
        (skipped, "lines without a usable text were skipped"),
        (cut, "cuts were made in documents longer than 16 MiB"),
    ];
    for (count, what) in mended.into_iter().filter(|(count, _)| **count > 0) {
        writeln!(output::stdout(), "  {count} {what}")?;
    }
    Ok(())
}
