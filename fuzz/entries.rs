//! What a fuzz target does with its bytes: they go into a reader as a file would, and nothing may panic, hang or take
//! memory out of proportion. Each says whether the bytes were accepted. The fuzz targets and the regression test share them.

use cloze::checkpoint::{Checkpoint, SavedModel};
use cloze::config::Config;
use cloze::data::{Corpus, CorpusOptions, DocumentSplit, Packing, Prepared, Sequence, Split, Texts, Tokenizer};
use cloze::hf::tensors::Tensors;
use cloze::hf::values::Reader;
use cloze::hf::{Family, HfModel, SentenceModel, folder};
use cloze::model::parameters::Declaration;
use cloze::model::weights;
use cloze::tasks::{self, MaskedLm};
use cloze::train::MetricsLog;
use cloze::train::sources::Sources;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Entry = fn(&[u8]) -> bool;

/// By the names of the targets.
#[allow(dead_code, reason = "the regression test goes through them all, a target calls its own")]
pub const ALL: [(&str, Entry); 13] = [
    ("safetensors", safetensors),
    ("shard_index", shard_index),
    ("model_config", model_config),
    ("run_config", run_config),
    ("checkpoint", checkpoint),
    ("prepared", prepared),
    ("shard", shard),
    ("tokenizer", tokenizer),
    ("vocabulary", vocabulary),
    ("corpus", corpus),
    ("sources", sources),
    ("metrics", metrics),
    ("sentence_model", sentence_model),
];

/// `model.safetensors` for a small BERT, and as a checkpoint's tensors.
pub fn safetensors(data: &[u8]) -> bool {
    let (_, config) = folder::read_config(Path::new("config.json"), CONFIG.as_bytes()).unwrap();
    let path = Path::new("model.safetensors");
    let entries: Vec<weights::Entry> = tasks::parameters(&MaskedLm::new(&config))
        .into_iter()
        .map(|Declaration { name, shape, .. }| weights::Entry { name: format!("first.{name}"), shape })
        .collect();
    let _ = weights::read(std::io::Cursor::new(data), path, &entries, |_, _, _| {});
    let Ok(tensors) = Tensors::from_bytes(path, data.to_vec()) else { return false };
    let task = MaskedLm::new(&config);
    let own = Reader { family: None, task: &task, tensors: &tensors };
    let _ = (own.all(), own.some());
    let bert = Reader { family: Some(Family::Bert), ..own };
    let _ = bert.some();
    bert.all().is_ok()
}

/// The index of a model in two shards.
pub fn shard_index(data: &[u8]) -> bool {
    let folder = folder();
    write(&folder, "a.safetensors", BERT);
    let header = r#"{"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    write(&folder, "b.safetensors", &[&length, header.as_bytes(), &[0; 4]].concat());
    write(&folder, "model.safetensors.index.json", data);
    Tensors::open(folder.path()).is_ok()
}

/// `config.json` of transformers, or with our own section.
pub fn model_config(data: &[u8]) -> bool {
    let Ok((family, config)) = folder::read_config(Path::new("config.json"), data) else { return false };
    // What a config declares is multiplied out before a weight is read.
    let values: usize = tasks::parameters(&MaskedLm::new(&config)).iter().map(Declaration::count).sum();
    assert!(values > 0 && config.head_dim() > 0, "{family:?}");
    true
}

/// The TOML of a run.
pub fn run_config(data: &[u8]) -> bool {
    let folder = folder();
    let path = write(&folder, "run.toml", data);
    let Ok(config) = Config::load(&path, &[]) else { return false };
    let again = write(&folder, "again.toml", config.to_toml().as_bytes());
    assert_eq!(Config::load(&again, &[]).unwrap(), config, "a config is read back as it was written");
    true
}

/// The manifest of a checkpoint, with the hash that it has to have.
pub fn checkpoint(data: &[u8]) -> bool {
    let folder = folder();
    write(&folder, "manifest.json", data);
    write(&folder, "manifest.json.blake3", format!("{}  manifest.json\n", blake3::hash(data).to_hex()).as_bytes());
    write(&folder, "config.json", b"{}");
    let _ = SavedModel::open(folder.path());
    Checkpoint::open(folder.path()).is_ok_and(|checkpoint| {
        // The other files are missing.
        checkpoint.verify().is_err()
    })
}

/// The manifest of a prepared folder, whose other files are as they should be.
pub fn prepared(data: &[u8]) -> bool {
    let folder = prepared_folder(SHARD);
    write(&folder, "manifest.json", data);
    read(&folder)
}

/// A shard, with a manifest that agrees with it.
pub fn shard(data: &[u8]) -> bool {
    read(&prepared_folder(data))
}

/// `tokenizer.json`, up to the first zero byte, and a text after it.
pub fn tokenizer(data: &[u8]) -> bool {
    let (json, text) = data.split_at(data.iter().position(|&byte| byte == 0).unwrap_or(data.len()));
    let Ok(tokenizer) = Tokenizer::from_bytes(json.to_vec(), "tokenizer.json") else { return false };
    let text = String::from_utf8_lossy(text);
    for text in ["It is a [MASK] day, naïve 語.", &text] {
        let _ = tokenizer.encode_start(text, 100);
        if let Ok(encoded) = tokenizer.encode_with_word_starts(text) {
            assert_eq!(encoded.ids.len(), encoded.word_starts.len());
            let _ = tokenizer.decode(&encoded.ids, true);
        }
    }
    true
}

/// The vocabulary files of an older model, parted by zero bytes: the settings, then `vocab.txt`, or `vocab.json` and
/// `merges.txt`.
pub fn vocabulary(data: &[u8]) -> bool {
    let folder = folder();
    write(&folder, "model.safetensors", BERT);
    write(&folder, "config.json", CONFIG.as_bytes());
    let mut parts = data.split(|&byte| byte == 0);
    write(&folder, "tokenizer_config.json", parts.next().unwrap_or_default());
    match (parts.next().unwrap_or_default(), parts.next()) {
        (vocabulary, None) => drop(write(&folder, "vocab.txt", vocabulary)),
        (vocabulary, Some(merges)) => {
            write(&folder, "vocab.json", vocabulary);
            write(&folder, "merges.txt", merges);
        }
    }
    let tokenizer = HfModel::open(folder.path()).unwrap().tokenizer();
    tokenizer.is_ok_and(|tokenizer| {
        let _ = tokenizer.encode_start("It is a <mask> day, naïve 語.", 100);
        true
    })
}

/// A corpus: the first byte is the kind of file and what a document is in it.
pub fn corpus(data: &[u8]) -> bool {
    const NAMES: [&str; 6] = ["a.txt", "a.jsonl", "a.txt.gz", "a.jsonl.gz", "a.txt.zst", "a.jsonl.zst"];
    const SPLITS: [DocumentSplit; 3] = [DocumentSplit::File, DocumentSplit::Line, DocumentSplit::BlankLine];
    let Some((&kind, data)) = data.split_first() else { return false };
    let folder = folder();
    let path = write(&folder, NAMES[kind as usize % 6], data);
    let options = CorpusOptions { split: SPLITS[kind as usize / 6 % 3], ..CorpusOptions::default() };
    let mut whole = true;
    for document in Corpus::open(std::slice::from_ref(&path), options).unwrap() {
        whole &= document.is_ok_and(|document| {
            assert!(!document.trim_ascii().is_empty());
            true
        });
    }
    Texts::open(&[path]).unwrap().fold(whole, |whole, text| whole && text.is_ok())
}

/// The record of what a run's data was made from.
pub fn sources(data: &[u8]) -> bool {
    let folder = folder();
    write(&folder, "data.sources.json", data);
    let Ok(Some(sources)) = Sources::read(folder.path()) else { return false };
    write(&folder, "a.txt", b"It is a day.\n");
    let config = Config::load(&write(&folder, "run.toml", RUN), &[]).unwrap();
    let change = sources.change(&config).unwrap();
    sources.write(folder.path()).unwrap();
    let again = Sources::read(folder.path()).unwrap().unwrap();
    assert_eq!(again.change(&config).unwrap().map(|c| c.problem()), change.map(|c| c.problem()));
    true
}

/// The metrics of a run that goes on: the step it goes on after, `metrics.jsonl`, and after a zero byte those that are
/// superseded. A second start finds what the first one left.
pub fn metrics(data: &[u8]) -> bool {
    let Some((&step, data)) = data.split_first() else { return false };
    let (lines, superseded) = data.split_at(data.iter().position(|&byte| byte == 0).unwrap_or(data.len()));
    let folder = folder();
    let path = write(&folder, "metrics.jsonl", lines);
    if let Some((_, superseded)) = superseded.split_first() {
        write(&folder, "metrics.superseded.jsonl", superseded);
    }
    if MetricsLog::open(&path, step.into()).is_err() {
        return false;
    }
    let first = fs::read(&path).unwrap();
    MetricsLog::open(&path, step.into()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first, "a second start changes nothing");
    true
}

/// What a folder of sentence-transformers asks for, parted by zero bytes: `modules.json`, the pooling's `config.json`, the
/// transformer's and the model's settings.
pub fn sentence_model(data: &[u8]) -> bool {
    let folder = folder();
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let names =
        ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"];
    for (name, part) in names.into_iter().zip(data.split(|&byte| byte == 0)) {
        write(&folder, name, part);
    }
    let Ok(Some(model)) = SentenceModel::open(folder.path()) else { return false };
    let tokenizer = Tokenizer::from_bytes(TOKENIZER.to_vec(), "tokenizer.json").unwrap();
    model.tokenizer(tokenizer).is_ok()
}

/// The weights and the config of a model with one layer of width 4.
const BERT: &[u8] = include_bytes!("seeds/safetensors/bert");
const CONFIG: &str = r#"{"model_type": "bert", "vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 1, "intermediate_size": 4, "max_position_embeddings": 4}"#;

/// A run that is trained on a.txt.
const RUN: &[u8] = br#"
    model = { layers = 1, hidden_size = 8, heads = 1 }
    data = { train = ["a.txt"], sequence_length = 16 }
    train = { steps = 1, learning_rate = 0.1 }
"#;

/// The shard of a prepared folder, and its tokenizer of 8 tokens.
const SHARD: &[u8] = include_bytes!("seeds/shard/small");
const TOKENIZER: &[u8] = include_bytes!("seeds/tokenizer/small");

/// A folder as `cloze prepare` makes it, with `shard` for training and for validation.
fn prepared_folder(shard: &[u8]) -> TempDir {
    let folder = folder();
    let number = |at: usize| shard.get(at..at + 8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    let entry = |name: &str, content: &[u8]| {
        write(&folder, name, content);
        json!({ "file": name, "bytes": content.len(), "blake3": blake3::hash(content).to_hex().as_str() })
    };
    let split = |name: &str| {
        let mut shard = entry(name, shard);
        (shard["tokens"], shard["documents"]) = (number(16).into(), number(24).into());
        json!({ "tokens": number(16), "documents": number(24), "shards": [shard] })
    };
    let manifest = json!({
        "format": "cloze-prepared",
        "version": 1,
        "tokenizer": entry("tokenizer.json", TOKENIZER),
        "vocab_size": 8,
        "specials": { "pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4 },
        "train": split("train-00000.bin"),
        "validation": split("validation-00000.bin"),
        "unigram": entry("unigram.bin", &[1; 64]),
        "report": { "files": 1, "documents": 2, "bytes": 10, "replaced": 0, "empty": 0, "cut": 0 },
    });
    write(&folder, "manifest.json", manifest.to_string().as_bytes());
    folder
}

/// Reads every token of a prepared folder, packed.
fn read(folder: &TempDir) -> bool {
    let Ok(prepared) = Prepared::open(folder.path()) else { return false };
    for split in [Split::Train, Split::Validation] {
        let tokens = prepared.split(split).clone();
        let packing = Packing::new(tokens.clone(), prepared.specials(), 16).unwrap();
        let mut sequence = Sequence::default();
        let mut packed = 0;
        for index in 0..packing.len() {
            packing.sequence(index, &mut sequence).unwrap();
            let pieces = sequence.positions[..sequence.real].iter().filter(|&&position| position == 0).count();
            packed += sequence.real - 2 * pieces;
        }
        assert_eq!(packed as u64, tokens.tokens(), "every token is packed once");
    }
    true
}

/// In memory where that is possible: fuzzing writes many small files.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn write(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}
