//! Runs that cannot begin or resume. A run that is refused stays as it was.

use super::refused;
use crate::workshop::{Workshop, names};
use std::fs::File;

fn trained() -> Workshop {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    shop
}

#[test]
fn a_folder_that_is_taken() {
    let shop = trained();
    refused(&shop, "train run.toml --device cpu --out run", &["run: ", "--resume", "--out"]);
    refused(&shop, "train run.toml --device cpu --out none --resume", &["none", "holds no run to resume", "--resume"]);
    assert!(!shop.path("none").exists());

    let lock = File::open(shop.path("run/lock")).unwrap();
    lock.lock().unwrap();
    let words = ["run: ", "another training is writing here", "wait for it to end", "--out"];
    refused(&shop, "train run.toml --device cpu --out run --resume", &words);
}

#[test]
fn a_resume_with_other_settings() {
    let shop = trained();
    shop.write("other.txt", shop.text("text.txt").replace("the", "that"));
    shop.done("tokenizer --vocab-size 400 --out other.json other.txt", &[]);
    shop.done("prepare --tokenizer other.json --out prepared --documents line other.txt", &[]);
    let before = content(&shop);
    for (set, words) in [
        ("seed=7", &["seed", "is 7, and the run began with 1", "--out"][..]),
        ("train.optimizer=muon", &["train.optimizer", "is muon, and the run began with adamw", "set it back"]),
        ("model.hidden_size=64", &["model.hidden_size", "is 64, and the run began with 32", "--out"]),
        ("model.layers=2", &["model.layers", "is 2, and the run began with 1", "set it back"]),
        ("model.positions=learned", &["model.positions", "began with \"rope\"", "set it back"]),
        ("tokenizer.vocab_size=300", &["[tokenizer]", "not what the run began with", "set it back"]),
        ("data.train=[\"other.txt\"]", &["[data]", "not what the run began with", "data.prepared"]),
        ("data.prepared=prepared", &["data", "another tokenizer than the run"]),
    ] {
        refused(&shop, &format!("train run.toml --device cpu --out run --resume --set {set}"), words);
    }
    assert!(content(&shop) == before, "a resume that was refused changed the run");
}

/// Every file of the run, by name.
fn content(shop: &Workshop) -> Vec<(String, Vec<u8>)> {
    let mut files = vec!["run/config.toml".to_string(), "run/data.settings".into(), "run/metrics.jsonl".into()];
    for folder in ["run/data", "run/checkpoints/step-000008", "run/checkpoints/step-000012"] {
        files.extend(names(shop.path(folder)).iter().map(|name| format!("{folder}/{name}")));
    }
    files.into_iter().map(|file| (file.clone(), shop.read(&file))).collect()
}

#[test]
fn data_of_the_run_that_is_damaged() {
    let shop = trained();
    let file = "run/data/train-00000.bin";
    let mut bytes = shop.read(file);
    bytes[200] ^= 1;
    shop.write(file, bytes);
    let words = [file, "damaged", "made again once its folder is removed"];
    refused(&shop, "train run.toml --device cpu --out run --resume", &words);
    std::fs::remove_dir_all(shop.path("run/data")).unwrap();
    shop.done("train run.toml --device cpu --out run --resume", &[]);
}
