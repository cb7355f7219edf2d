//! Config files and `--set`: unknown keys, wrong types, impossible values. `src/config/tests.rs` has many more values.

use super::refused;
use crate::workshop::Workshop;

#[test]
fn files() {
    let shop = Workshop::new();
    for (content, words) in [
        (&b"[train\nsteps = 1"[..], &["bad.toml", "is not TOML", "line 1"][..]),
        (b"\xff\xfe\x00", &["bad.toml", "UTF-8"]),
        (b"", &["model.layers: is not given"]),
        (b"[trian]\nsteps = 1", &["trian", "unknown key", "did you mean `train`"]),
        (b"data = 3", &["data", "expected a section"]),
        (b"train.steps = 1\ntrain.steps = 2", &["bad.toml", "is not TOML", "duplicate key"]),
    ] {
        shop.write("bad.toml", content);
        refused(&shop, "train bad.toml --device cpu", words);
    }
    assert!(!shop.path("runs").exists(), "a run was begun");
}

#[test]
fn values() {
    let shop = Workshop::new();
    for (set, words) in [
        ("train.stepss=3", &["train.stepss", "unknown key", "did you mean `steps`"][..]),
        ("train.steps", &["--set train.steps", "has no `=`"]),
        ("train.steps=many", &["train.steps", "expected a whole number"]),
        ("train.steps=0", &["train.steps", "at least 1"]),
        ("train.steps=1e30", &["train.steps", "expected a whole number"]),
        ("train.micro_batch=3", &["train.micro_batch", "does not divide train.batch_size = 8"]),
        ("train.micro_batch=automatic", &["train.micro_batch", "a whole number, 0 or more, or \"auto\""]),
        ("train.recompute=everything", &["train.recompute", "`none`, `elementwise`, `attention`, `layer`"]),
        ("train.learning_rate=-1", &["train.learning_rate", "must be above 0"]),
        ("train.precision=f15", &["train.precision", "unknown value", "`f32`, `f16`"]),
        ("model.heads=5", &["model.heads", "does not divide model.hidden_size = 32"]),
        ("model.dropout=1.5", &["model.dropout", "below 1"]),
        ("model.recipe=gpt", &["model.recipe", "`modern`, `bert`"]),
        ("masking.mask=0.5", &["masking", "must be 1"]),
        ("masking.rate=0", &["masking.rate", "above 0"]),
        ("tokenizer.vocab_size=20", &["tokenizer.vocab_size", "at least 64"]),
        ("data.sequence_length=4", &["data.sequence_length", "at least 16"]),
        ("data.train=text.txt", &["data.train", "expected a list in brackets"]),
        ("data.train=[]", &["data.train", "names no text"]),
        ("name=../elsewhere", &["name", "name of a folder"]),
        ("seed=-1", &["seed", "whole number"]),
    ] {
        refused(&shop, &format!("train run.toml --device cpu --set {set}"), words);
    }
    assert!(!shop.path("runs").exists(), "a run was begun");
}
