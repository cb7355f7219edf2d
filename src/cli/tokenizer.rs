//! `cloze tokenizer`: learns a vocabulary.

use super::choices::choice;
use super::output;
use std::io::Write;
use std::path::PathBuf;

use crate::data::{Corpus, CorpusOptions, DocumentSplit, MAX_BAD_LINES, Tokenizer, TokenizerKind, TokenizerOptions};

/// Learn a tokenizer from text
///
/// The result is a tokenizer.json, which Hugging Face libraries read too. Its special tokens are [PAD] [UNK] [CLS] [SEP]
/// [MASK], with the ids 0 to 4.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloze tokenizer --vocab-size 30522 --out tokenizer.json books/
  cloze tokenizer --kind bpe --vocab-size 50368 --cased --out tokenizer.json 'crawl/part-*.jsonl.zst'")]
pub struct Args {
    /// Text: .txt or .jsonl files, also compressed as .gz or .zst; folders; patterns with *, ? and **
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The algorithm that splits words into tokens
    #[arg(long, value_parser = choice::<TokenizerKind>(), default_value = "wordpiece")]
    kind: TokenizerKind,
    /// Size of the vocabulary, special tokens included
    #[arg(long, value_name = "N", default_value_t = 30_522)]
    vocab_size: usize,
    /// Keep upper and lower case apart; without this, text is lower-cased
    #[arg(long)]
    cased: bool,
    /// Whether Latin, Greek and Cyrillic letters lose their accents [default: true for wordpiece without --cased, else
    /// false]
    #[arg(long, value_name = "BOOL")]
    strip_accents: Option<bool>,
    /// Share of the text's characters that get tokens, most frequent first; the rest become [UNK]. Not for bpe, which
    /// spells any character by its bytes
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0)]
    character_coverage: f64,
    /// The key that holds the text in .jsonl files
    #[arg(long, default_value = "text")]
    field: String,
    /// Skip .jsonl lines without a usable text, up to this share of all lines; more are an error
    #[arg(long, value_name = "SHARE", default_value_t = MAX_BAD_LINES)]
    max_bad_lines: f64,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    out: PathBuf,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    // Lines are the smallest documents, so they spread best over the threads.
    let options = CorpusOptions { split: DocumentSplit::Line, field: args.field, max_bad_lines: args.max_bad_lines };
    let mut corpus = Corpus::open(&args.files, options)?.with_progress("reading");
    let mut how = TokenizerOptions::new(args.kind, args.vocab_size, !args.cased);
    how.strip_accents = args.strip_accents.unwrap_or(how.strip_accents);
    how.character_coverage = args.character_coverage;
    let tokenizer = Tokenizer::train(&how, &mut corpus)?;
    tokenizer.save(&args.out)?;
    writeln!(output::stdout(), "{}: {} tokens", args.out.display(), tokenizer.vocab_size())?;
    Ok(super::prepare::print_report(&corpus.report())?)
}
