//! Files that a later version of Cloze wrote are refused; the message names the file, its version and the newest version that
//! this Cloze reads. Files of the first versions, which have no version number, are read.

use super::refused;
use crate::resume::assert_same_end;
use crate::workshop::{Workshop, names};
use serde_json::{Value, json};

const RESUME: &str = "train run.toml --device cpu --out run --resume";

/// Of a file, whose version 2 is refused.
fn words(file: &str) -> [&str; 3] {
    [file, "is of version 2 of its format, and the newest that this Cloze reads is 1", "take the Cloze that wrote it"]
}

#[test]
fn folders_of_runs() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out whole", &[]);
    assert_eq!(shop.text("whole/run.json"), "{\"version\":1}\n");
    shop.copy("whole", "run");
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    shop.write("run/run.json", r#"{"version": 2, "layout": "another"}"#);
    // It has keys that this version does not know.
    let config = shop.text("run/config.toml");
    shop.write("run/config.toml", format!("{config}\n[later]\nkey = 1\n"));
    let before = (names(shop.path("run")), shop.read("run/metrics.jsonl"), shop.read("run/config.toml"));
    for line in
        [RESUME, "train run/config.toml --device cpu --out run --resume", "train run.toml --device cpu --out run"]
    {
        refused(&shop, line, &words("run/run.json: "));
    }
    assert!(before == (names(shop.path("run")), shop.read("run/metrics.jsonl"), shop.read("run/config.toml")));

    // It is from a version that wrote no number.
    shop.write("run/config.toml", config);
    std::fs::remove_file(shop.path("run/run.json")).unwrap();
    shop.done("train run/config.toml --device cpu --out run --resume", &[]);
    assert_same_end(&shop, "whole", "run", 12);
    assert!(shop.path("run/run.json").exists());
}

/// An older one does not stand in for it.
#[test]
fn checkpoints() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let newest = "run/checkpoints/step-000012";
    let mut manifest: Value = serde_json::from_slice(&shop.read(&format!("{newest}/manifest.json"))).unwrap();
    (manifest["format"], manifest["later"]) = (2.into(), json!([]));
    shop.forge_manifest(newest, &manifest);
    let before = names(shop.path("run/checkpoints"));
    for line in [RESUME, "eval run text.txt --device cpu", "fill-mask run/checkpoints/step-000012 [MASK] --device cpu"]
    {
        refused(&shop, line, &words("step-000012/manifest.json: "));
    }
    assert_eq!(names(shop.path("run/checkpoints")), before);
    shop.done("eval run/checkpoints/step-000008 text.txt --device cpu", &[]);
}

#[test]
fn prepared_data_and_its_shards() {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 300 text.txt", &[]);
    shop.done("prepare --tokenizer tokenizer.json --out prepared --documents line text.txt", &[]);
    let train = "train run.toml --device cpu --set data.prepared=prepared";
    let (manifest, shard) = (shop.read("prepared/manifest.json"), shop.read("prepared/train-00000.bin"));
    let mut later: Value = serde_json::from_slice(&manifest).unwrap();
    (later["version"], later["later"]) = (2.into(), json!([]));
    shop.write("prepared/manifest.json", later.to_string());
    refused(&shop, train, &words("prepared/manifest.json: "));

    shop.write("prepared/manifest.json", manifest);
    let mut later = shard.clone();
    later[8] = 2;
    shop.write("prepared/train-00000.bin", later);
    refused(&shop, train, &words("prepared/train-00000.bin: "));
    shop.write("prepared/train-00000.bin", shard);
    shop.done(&format!("{train} --set train.steps=1"), &[]);
}
