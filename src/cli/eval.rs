//! `cloze eval`

use super::choices::choice;
use super::output;
use super::progress::batch_bar;
use crate::checkpoint::SavedModel;
use crate::data::{
    Corpus, CorpusOptions, DocumentSplit, Documents, MAX_BAD_LINES, Masking, Packing, Prepared, Split, check_mask_rate,
    check_maskable, spool, validation_batches,
};
use crate::device::{Device, DeviceChoice};
use crate::tasks::{self, Text};
use crate::train::evaluate::Evaluator;
use crate::train::metrics::Validation;
use crate::train::trainer::VALIDATION_SEED;
use crate::train::{PseudoLikelihood, interrupt};
use anyhow::Context;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many tokens of a document are read at once to count them.
const COUNTED_AT_ONCE: usize = 1 << 16;

/// Measure how well a model guesses the masked tokens of a text
///
/// The masks are fixed: the same text gives the same figures every time, whatever masks the model was trained with. Of the
/// masked tokens 80 % become [MASK], 10 % become random tokens and 10 % stay as they are. For comparison, the unigram
/// cross-entropy is what guessing by the token frequencies of the training text would score.
///
/// With --pll, the pseudo-log-likelihood is measured instead, as PLL-word-l2r (Kauf and Ivanova 2023): each token is guessed
/// from the whole text, with [MASK] in place of the token and of the rest of its word. A sequence takes as many passes
/// through the model as its longest document has tokens. Documents longer than a sequence are cut into pieces, each scored
/// by itself; with --documents line, each line is a document.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze eval runs/quickstart my/test.txt
  cloze eval runs/quickstart/checkpoints/step-000500 my/test.txt --json
  cloze eval runs/quickstart my/sentences.txt --documents line --pll")]
pub struct Args {
    /// Folder of a run, of a checkpoint, or of a model that transformers saved. From a run the best checkpoint is taken, or
    /// the newest if it was not validated yet
    pub model: PathBuf,

    /// Text files, folders or patterns; or a folder made by `cloze prepare`, whose validation part is used
    #[arg(required = true)]
    pub data: Vec<PathBuf>,

    /// Share of the tokens to mask, at most 0.9
    #[arg(long, alias = "rate", default_value = "0.15")]
    pub mask_rate: f64,

    /// Measure the pseudo-log-likelihood, in nats: every token is masked and scored once
    #[arg(long, conflicts_with = "mask_rate")]
    pub pll: bool,

    /// Measure on at most N sequences, evenly spread over the text [default: all]
    #[arg(long, value_name = "N")]
    pub max_sequences: Option<NonZeroUsize>,

    /// Tokens per sequence [default: as in training]
    #[arg(long, value_name = "T")]
    pub sequence_length: Option<NonZeroUsize>,

    /// Sequences per batch
    #[arg(long, default_value = "32", value_name = "B")]
    pub batch_size: NonZeroUsize,

    /// What counts as one document in a text file
    #[arg(long, alias = "split", value_parser = choice::<DocumentSplit>(), default_value = "file")]
    pub documents: DocumentSplit,

    /// The key that holds the text in .jsonl files
    #[arg(long, default_value = "text")]
    pub field: String,

    /// Skip .jsonl lines without a usable text, up to this share of all lines; more are an error
    #[arg(long, value_name = "SHARE", default_value_t = MAX_BAD_LINES)]
    pub max_bad_lines: f64,

    /// Device to compute on: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let model = SavedModel::open_with_head(&args.model)?;
    let length = args.sequence_length.map_or(model.sequence_length, NonZeroUsize::get);
    let most = model.config.max_positions;
    anyhow::ensure!(length <= most, "--sequence-length: the model takes at most {most} tokens");
    let documents = documents(&args, &model)?;
    let counts = counts(&*documents, &model)?;
    check_maskable(&model.tokenizer, &counts, "the text", || sample(&args))?;
    if args.pll {
        let result = pseudo_likelihood(&args, &model, documents, length)?;
        return print_pseudo_likelihood(&result, args.json);
    }
    print(&validation(&args, &model, documents, length)?, args.json)
}

/// How often each token occurs.
fn counts(documents: &dyn Documents, model: &SavedModel) -> crate::Result<Vec<u64>> {
    let mut counts = vec![0; model.tokenizer.vocab_size()];
    for document in 0..documents.documents() {
        let tokens = documents.document_tokens(document)?;
        for start in (0..tokens).step_by(COUNTED_AT_ONCE) {
            let (mut ids, mut word_starts) = (Vec::new(), Vec::new());
            documents.read(document, start..tokens.min(start + COUNTED_AT_ONCE), &mut ids, &mut word_starts)?;
            ids.iter().for_each(|&id| counts[id as usize] += 1);
        }
    }
    Ok(counts)
}

/// The text itself, in which to look for the cause of unknown tokens; nothing for a prepared folder.
fn sample(args: &Args) -> crate::Result<impl Iterator<Item = crate::Result<String>>> {
    let corpus = if is_prepared(args)? { None } else { Some(corpus(args)?) };
    Ok(corpus.into_iter().flatten())
}

fn validation(
    args: &Args,
    model: &SavedModel,
    documents: Arc<dyn Documents>,
    length: usize,
) -> anyhow::Result<Validation> {
    check_mask_rate("--mask-rate", args.mask_rate)?;
    let task = model.task(Masking { rate: args.mask_rate, ..Default::default() });
    let (specials, vocab_size) = (model.tokenizer.specials(), model.config.vocab_size);
    let text = Text { others: documents.clone(), documents, specials, vocab_size };
    let examples = task.examples(&text, length).context("--sequence-length")?;
    let batch = args.batch_size.get().min(examples.len().max(1));
    let limit = args.max_sequences.map(NonZeroUsize::get);
    let batches = validation_batches(&*examples, batch, VALIDATION_SEED, limit)?;
    let batches = batch_bar("measuring", batches.len()).wrap_iter(batches);

    let device = open(args)?;
    let evaluation = tasks::evaluation(&*task, tasks::shape(&*task, batch, length), device.binding())?;
    let mut executor = evaluation.start(&device, &model.config, model.values())?;
    let measured = Evaluator::of(&evaluation).measure(&mut *executor, batches, &model.unigram)?;
    let means = measured.means(task.losses());
    means.context("the sequences that were measured have no token to mask; raise --max-sequences to measure more")
}

fn pseudo_likelihood(
    args: &Args,
    model: &SavedModel,
    documents: Arc<dyn Documents>,
    length: usize,
) -> anyhow::Result<PseudoLikelihood> {
    let packing = Packing::whole(documents, model.tokenizer.specials(), length).context("--sequence-length")?;
    let (batch, limit) = (args.batch_size.get(), args.max_sequences.map(NonZeroUsize::get));
    let (values, device, bar) = ((&model.config, model.values()), open(args)?, batch_bar("scoring", 0));
    let result = PseudoLikelihood::measure(values, &device, &packing, batch, limit, |done, count| {
        bar.set_length(count as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    anyhow::ensure!(result.tokens > 0, "the text has no token to score");
    Ok(result)
}

fn open(args: &Args) -> crate::Result<Device> {
    let device = Device::open(&args.device)?;
    log::info!("device: {}", device.describe());
    Ok(device)
}

/// The documents to measure on: a prepared folder's validation part, or raw text.
fn documents(args: &Args, model: &SavedModel) -> anyhow::Result<Arc<dyn Documents>> {
    if is_prepared(args)? {
        return Ok(prepared(&args.data[0], model)?);
    }
    let (tokens, _) = spool(&model.tokenizer, corpus(args)?, &interrupt::flag())?;
    Ok(Arc::new(tokens))
}

fn is_prepared(args: &Args) -> crate::Result<bool> {
    match args.data.as_slice() {
        [folder] => Prepared::is_in(folder),
        _ => Ok(false),
    }
}

fn corpus(args: &Args) -> crate::Result<Corpus> {
    let options = CorpusOptions { split: args.documents, field: args.field.clone(), max_bad_lines: args.max_bad_lines };
    Corpus::open(&args.data, options)
}

fn prepared(folder: &Path, model: &SavedModel) -> crate::Result<Arc<dyn Documents>> {
    let prepared = Prepared::open(folder)?;
    if prepared.tokenizer().json() != model.tokenizer.json() {
        let problem = format!(
            "was prepared with another tokenizer than the model's; prepare it with {}",
            model.path().join("tokenizer.json").display()
        );
        return Err(crate::Error::file(folder, problem));
    }
    Ok(prepared.split(Split::Validation).clone())
}

fn print(result: &Validation, json: bool) -> anyhow::Result<()> {
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(result)?)?;
    } else {
        writeln!(out, "cross-entropy          {:.4}", result.cross_entropy)?;
        writeln!(out, "perplexity             {:.2}", result.perplexity)?;
        writeln!(out, "accuracy               {:.2} %", 100.0 * result.accuracy)?;
        if result.unigram_cross_entropy.is_nan() {
            writeln!(out, "unigram cross-entropy  not known")?;
        } else {
            writeln!(out, "unigram cross-entropy  {:.4}", result.unigram_cross_entropy)?;
        }
        writeln!(out, "masked tokens          {}", result.masked_tokens)?;
        for (name, value) in &result.others {
            writeln!(out, "{:<22} {value:.4}", name.replace('_', " "))?;
        }
    }
    Ok(())
}

fn print_pseudo_likelihood(result: &PseudoLikelihood, json: bool) -> anyhow::Result<()> {
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(result)?)?;
    } else {
        writeln!(out, "pseudo-log-likelihood  {:.4}", result.pseudo_log_likelihood)?;
        writeln!(out, "per word               {:.4}", result.pll_per_word)?;
        writeln!(out, "per token              {:.4}", result.pll_per_token)?;
        writeln!(out, "pseudo-perplexity      {:.2}", result.pseudo_perplexity)?;
        writeln!(out, "words, tokens          {}, {}", result.words, result.tokens)?;
    }
    Ok(())
}
