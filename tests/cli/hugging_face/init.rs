//! `model.init`: training starts from an existing model.

use super::{copy_golden, edit_json, values};
use crate::workshop::{Outcome, Workshop};
use serde_json::Value;

/// A config without a word about the model.
pub const CONFIG: &str = r#"
[data]
train = ["text.txt"]
documents = "line"
validation_fraction = 0.1
sequence_length = 32

[train]
steps = 4
batch_size = 8
learning_rate = 1e-3

[validation]
every = 0
max_sequences = 32

[checkpoint]
every = 2
"#;

/// The losses of a run's steps.
fn losses(shop: &Workshop, run: &str) -> Vec<f64> {
    let lines = shop.text(&format!("{run}/metrics.jsonl"));
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get("learning_rate").is_some()).map(|line| line["loss"].as_f64().unwrap()).collect()
}

fn train(shop: &Workshop, more: &str) -> Outcome {
    shop.done(&format!("train init.toml --device cpu {more}"), &[])
}

#[test]
fn training_starts_where_the_model_was() {
    let shop = Workshop::new();
    shop.write("init.toml", CONFIG);
    shop.done("train run.toml --device cpu --out first --set train.steps=60 --set checkpoint.every=0", &[]);
    shop.done("export first exported", &[]);
    let end = losses(&shop, "first");
    for (init, run) in [("first", "second"), ("exported", "third"), ("first/checkpoints/step-000060", "fourth")] {
        train(&shop, &format!("--out {run} --set model.init={init}"));
        let start = losses(&shop, run)[0];
        assert!((start - end[59]).abs() < 0.5 && start < end[0] - 0.5, "{init}: {end:?}, then {start}");
        // The shape, the tokenizer and the number of entries are those of the model.
        let file = |folder: &str| shop.read(&format!("{folder}/tokenizer.json"));
        assert!(file("exported") == file(&format!("{run}/checkpoints/step-000004")));
    }
    let step = |run: &str| shop.read(&format!("{run}/checkpoints/step-000004/model.safetensors"));
    assert!(step("second") == step("third") && step("second") == step("fourth"));
}

#[test]
fn golden_models_are_trained_on() {
    let shop = Workshop::new();
    shop.write("init.toml", CONFIG);
    for name in ["bert", "roberta", "modernbert"] {
        copy_golden(&shop, name);
        let sets = format!("--set model.init={name} --set model.dropout=0.1 --set train.learning_rate=1e-12");
        train(&shop, &format!("--out run-{name} {sets}"));
        let folder = format!("run-{name}/checkpoints/step-000004");
        let (before, after) = (values(&shop, name), values(&shop, &folder));
        let moved = before.iter().flatten().zip(after.iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(moved.fold(0.0, f32::max) < 1e-6, "{name}: nothing but the given weights can be this near");
        let config: Value = serde_json::from_slice(&shop.read(&format!("{folder}/config.json"))).unwrap();
        assert_eq!(config["cloze"]["dropout"], 0.1);
        assert!(config["cloze"].get("init").is_none(), "a checkpoint's config is of the model alone");
    }
}

#[test]
fn a_resume_does_without_the_model() {
    let shop = Workshop::new();
    shop.write("init.toml", CONFIG);
    copy_golden(&shop, "bert");
    train(&shop, "--out whole --set model.init=bert");
    train(&shop, "--out run --set model.init=bert --set train.steps=2 --set train.schedule=constant");
    std::fs::rename(shop.path("bert"), shop.path("gone")).unwrap();
    shop.done("train run/config.toml --device cpu --out run --resume --set train.steps=4", &[]);
    assert_eq!(losses(&shop, "run").len(), 4);
}

#[test]
fn what_contradicts_the_model_is_refused() {
    let shop = Workshop::new();
    shop.write("init.toml", CONFIG);
    copy_golden(&shop, "bert");
    shop.done("tokenizer --vocab-size 300 text.txt", &[]);
    shop.done("prepare --tokenizer tokenizer.json --out other --documents line text.txt", &[]);
    for (sets, words) in [
        ("model.hidden_size=64", &["model.hidden_size: is 64", "model.init has 32", "leave it out"][..]),
        ("model.norm=pre", &["model.norm: is \"pre\"", "has \"post\""]),
        ("model.recipe=modern", &["model.recipe: is \"modern\"", "has \"bert\""]),
        ("model.norm_eps=1e-5", &["model.norm_eps", "leave it out"]),
        ("model.hiden_size=64", &["model.hiden_size", "did you mean `hidden_size`"]),
        ("data.sequence_length=64", &["data.sequence_length", "more than model.max_positions = 40"]),
        ("tokenizer.file=tokenizer.json", &["tokenizer.file", "beside model.init"]),
        ("data.prepared=other", &["data.prepared", "another tokenizer than model.init", "bert/tokenizer.json"]),
    ] {
        crate::refusals::refused(
            &shop,
            &format!("train init.toml --device cpu --set model.init=bert --set {sets}"),
            words,
        );
    }
    for (init, words) in [
        ("missing", &["model.init", "missing", "does not exist"][..]),
        ("text.txt", &["model.init", "text.txt"]),
        ("other", &["model.init", "other"]),
    ] {
        crate::refusals::refused(&shop, &format!("train init.toml --device cpu --set model.init={init}"), words);
    }
    edit_json(&shop, "bert/config.json", |config| config["hidden_act"] = "relu".into());
    let line = "train init.toml --device cpu --set model.init=bert";
    crate::refusals::refused(&shop, line, &["model.init", "bert/config.json", "hidden_act is `relu`"]);
}
