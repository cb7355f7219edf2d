//! Numbers that would take more memory than there is. They are refused before any is allocated.

use super::refused;
use crate::adapter;
use crate::workshop::Workshop;

#[test]
fn on_the_cpu() {
    let shop = Workshop::new();
    for (sets, words) in [
        // 2²⁰ sequences of 32 tokens are just allowed; their activations are not.
        ("train.batch_size=1048576", &["tensor `", "2^30 elements", "train.micro_batch"][..]),
        ("train.batch_size=4611686018427387904", &["train.batch_size", "33554432 tokens a step"]),
        ("train.batch_size=100000000 train.micro_batch=1", &["train.batch_size", "33554432 tokens a step"]),
        ("model.layers=100000000", &["model.layers", "the most is 1024"]),
        ("model.hidden_size=1048576 model.heads=8192 model.intermediate_size=64", &["2^30", "model.hidden_size"]),
        (
            "model.hidden_size=8192 model.heads=64 model.layers=1024",
            &["needs", "TiB", "available", "lower `model.layers`"],
        ),
        (
            "tokenizer.vocab_size=4000000 model.hidden_size=1024 model.heads=8",
            &["embeddings.tokens", "lower `tokenizer.vocab_size`"],
        ),
        ("model.sliding_window=100000000000", &["model.sliding_window", "the most is 1048576"]),
        ("tokenizer.vocab_size=99999999999", &["tokenizer.vocab_size", "at most"]),
        ("data.sequence_length=1000000000000", &["data.sequence_length", "at most 65536"]),
    ] {
        let sets: String = sets.split(' ').map(|set| format!(" --set {set}")).collect();
        refused(&shop, &format!("train run.toml --device cpu{sets}"), words);
    }
    // What can't fit is found before the text is read.
    assert!(!shop.path("runs/run/checkpoints/step-000012").exists() && !shop.path("runs/run/data").exists());
}

#[test]
fn on_the_gpu() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    for (sets, words) in [
        ("train.batch_size=1048576", &["tensor `", "2^30 elements", "train.micro_batch"][..]),
        ("model.hidden_size=1048576 model.heads=8192 model.intermediate_size=64", &["2^30", "model.hidden_size"]),
    ] {
        let sets: String = sets.split(' ').map(|set| format!(" --set {set}")).collect();
        refused(&shop, &format!("train run.toml --device gpu{sets}"), words);
    }
}
