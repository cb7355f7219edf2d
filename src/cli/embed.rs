//! `cloze embed`

use super::choices::choice;
use super::vectors::{Format, VectorWriter};
use crate::checkpoint::SavedModel;
use crate::data::{Texts, Tokenizer};
use crate::device::{Device, DeviceChoice};
use crate::hf::SentenceModel;
use crate::model::embedder::{Embedder, Pooling, normalize};
use crate::train::interrupt;
use anyhow::Context;
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How many texts are read and sorted by length together, in batches and in bytes; this bounds the memory.
const WINDOW_BATCHES: usize = 32;
const WINDOW_BYTES: usize = 16 << 20;

/// Turn texts into vectors (embeddings), one per line
///
/// The vector of a text is the mean of the encoder's output over its tokens, or the output at the first token, [CLS]. Every
/// line is a text and gets a vector, also an empty line, so that vectors and lines match. Names such as [MASK] in a text
/// stand for the special tokens.
///
/// If MODEL is a folder of sentence-transformers, its modules.json sets the pooling, and the vectors are the same as that
/// library's; options given here take precedence. Modules that Cloze does not compute are refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze embed runs/quickstart sentences.txt --normalize > vectors.jsonl
  cut -f 2 pairs.tsv | cloze embed my/MiniLM-L6-v2 --out vectors.npy

JSON lines have the keys \"text\" and \"embedding\". A .npy file, which numpy.load reads, is one array of
float32 with one row per text. The file of --out appears only once it is complete.")]
pub struct Args {
    /// Folder of a run, of a checkpoint, or of a model that transformers saved. From a run the best checkpoint is taken, or
    /// the newest if it was not validated yet
    pub model: PathBuf,

    /// Text files, also compressed as .gz or .zst; without any, lines are read from standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How the token outputs become one vector [default: as modules.json says, or mean]
    #[arg(long, value_parser = choice::<Pooling>())]
    pub pooling: Option<Pooling>,

    /// Scale every vector to length 1, so that a dot product is a cosine; modules.json may ask for this too
    #[arg(long)]
    pub normalize: bool,

    /// The output format [default: npy if the name of --out ends in .npy, else jsonl]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Texts per batch
    #[arg(long, default_value = "32", value_name = "B")]
    pub batch_size: NonZeroUsize,

    /// Longest text in tokens, special tokens included; longer texts are cut off [default: as in training, as the files of
    /// sentence-transformers say, or what the model takes, up to 512]
    #[arg(long, value_name = "T")]
    pub max_length: Option<NonZeroUsize>,

    /// Device to compute on: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let modules = SentenceModel::open(&args.model)?;
    let mut model = SavedModel::open(modules.as_ref().map_or(&args.model, |modules| &modules.transformer))?;
    let most = model.config.max_positions;
    if let Some(modules) = &modules {
        model.tokenizer = modules.tokenizer(model.tokenizer)?;
        model.sequence_length = modules.max_length.unwrap_or(most).min(most);
    }
    let pooling = args.pooling.or(modules.as_ref().map(|modules| modules.pooling)).unwrap_or(Pooling::Mean);
    let normalized = args.normalize || modules.as_ref().is_some_and(|modules| modules.normalize);
    let prompt = modules.map(|modules| modules.prompt).unwrap_or_default();
    let length = args.max_length.map_or(model.sequence_length, NonZeroUsize::get);
    anyhow::ensure!((2..=most).contains(&length), "--max-length: {length} is not within 2 to {most}");
    let mut texts = Texts::open(&args.files)?;
    let mut writer = VectorWriter::new(format(&args), model.config.hidden_size, args.out.as_deref())?;
    if args.out.is_some() {
        // With this, Ctrl-C leaves no unfinished file behind.
        interrupt::install()?;
    }
    let device = Device::open(&args.device)?;
    log::debug!("device: {}", device.describe());
    let (pad, batch) = (model.tokenizer.specials().pad, args.batch_size.get());
    let mut embedder = Embedder::new(&model.config, &device, model.values(), pad, pooling, batch);
    let (mut count, mut cut) = (0, 0);
    loop {
        let window = window(&mut texts, batch.saturating_mul(WINDOW_BATCHES))?;
        if window.is_empty() {
            break;
        }
        let encoded = encode(&model.tokenizer, &prompt, &window, length)?;
        cut += encoded.iter().filter(|(_, cut)| *cut).count();
        let ids: Vec<Vec<u32>> = encoded.into_iter().map(|(ids, _)| ids).collect();
        let mut vectors = embedder.embed(&ids).context("if memory is short, lower --batch-size or --max-length")?;
        for (text, vector) in window.iter().zip(vectors.chunks_exact_mut(model.config.hidden_size)) {
            count += 1;
            let finite = vector.iter().all(|x| x.is_finite());
            anyhow::ensure!(finite, "text {count}: the model's output is not finite; its weights are damaged");
            if normalized {
                normalize(vector);
            }
            writer.push(text, vector)?;
        }
        writer.flush()?;
        anyhow::ensure!(!interrupt::interrupted(), "interrupted; no file was written");
    }
    writer.finish()?;
    report(count, cut, length);
    Ok(())
}

fn format(args: &Args) -> Format {
    let npy = args.out.as_ref().is_some_and(|path| path.extension().is_some_and(|extension| extension == "npy"));
    args.format.unwrap_or(if npy { Format::Npy } else { Format::Jsonl })
}

/// The next texts, at most `count` of them.
fn window(texts: &mut Texts, count: usize) -> crate::Result<Vec<String>> {
    let (mut window, mut bytes) = (Vec::new(), 0);
    while window.len() < count && bytes < WINDOW_BYTES {
        let Some(text) = texts.next().transpose()? else { break };
        bytes += text.len();
        window.push(text);
    }
    Ok(window)
}

/// The ids of each text behind a prompt, between [CLS] and [SEP], at most `length`; and whether the text was cut off.
fn encode(
    tokenizer: &Tokenizer,
    prompt: &str,
    texts: &[String],
    length: usize,
) -> crate::Result<Vec<(Vec<u32>, bool)>> {
    let specials = tokenizer.specials();
    let encode = |text: &String| {
        let (mut ids, cut) = tokenizer.encode_start(&format!("{prompt}{text}"), length - 2)?;
        ids.insert(0, specials.cls);
        ids.push(specials.sep);
        Ok((ids, cut))
    };
    texts.par_iter().map(encode).collect()
}

fn report(count: usize, cut: usize, length: usize) {
    if cut > 0 {
        log::warn!("{cut} of {count} texts have more than {length} tokens and were cut; see --max-length");
    }
}
