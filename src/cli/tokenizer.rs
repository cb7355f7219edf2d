//! `cloze tokenizer`: learns a vocabulary.

use super::choices::choice;
use super::output;
use std::io::Write;
use std::path::PathBuf;

use crate::data::{Corpus, CorpusOptions, DocumentSplit, MAX_BAD_LINES, Tokenizer, TokenizerKind, TokenizerOptions};

/// Learn a tokenizer from text
///
/// The result is a tokenizer.json that Hugging Face libraries read too. Its special tokens are [PAD] [UNK] [CLS] [SEP]
/// [MASK], with the ids 0 to 4.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloze tokenizer --vocab-size 30522 --out tokenizer.json books/
  cloze tokenizer --kind bpe --vocab-size 50368 --cased --out tokenizer.json 'crawl/part-*.jsonl.zst'")]
pub struct Args {
    /// Text: .txt or .jsonl files, also .gz and .zst of them; folders; patterns with *, ? and **
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How words are split into tokens
    #[arg(long, value_parser = choice::<TokenizerKind>(), default_value = "wordpiece")]
    kind: TokenizerKind,
    /// Tokens to learn, special ones included
    #[arg(long, value_name = "N", default_value_t = 30_522)]
    vocab_size: usize,
    /// Keep upper case apart from lower case
    #[arg(long)]
    cased: bool,
    /// Whether Latin, Greek and Cyrillic letters lose their accents [default: true with wordpiece but for --cased, else
    /// false]
    #[arg(long, value_name = "BOOL")]
    strip_accents: Option<bool>,
    /// The part of the text's characters that get tokens, the most frequent ones; not with bpe, which has all as bytes
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0)]
    character_coverage: f64,
    /// The key that holds the text in .jsonl files
    #[arg(long, default_value = "text")]
    field: String,
    /// Most lines of .jsonl files without a usable text that are skipped, as a share of all
    #[arg(long, value_name = "SHARE", default_value_t = MAX_BAD_LINES)]
    max_bad_lines: f64,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    out: PathBuf,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    // Lines are the smallest documents, so they share best among threads.
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
