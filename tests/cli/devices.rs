//! The GPU and the CPU train alike, since they run the same kernels, written twice.

use crate::metrics::losses;
use crate::workshop::Workshop;
use crate::{adapter, workshop::CONFIG};

#[test]
fn modern_with_a_sliding_window() {
    train_on_both("model.recipe=modern model.layers=3 model.sliding_window=8 model.global_every=3");
}

#[test]
fn modern_with_dropout() {
    train_on_both("model.recipe=modern model.dropout=0.1 model.attention_dropout=0.1");
}

#[test]
fn bert_with_gradient_accumulation() {
    train_on_both("model.recipe=bert train.micro_batch=2");
}

#[test]
fn bert_with_dropout_and_whole_words() {
    train_on_both("model.recipe=bert model.dropout=0.1 model.attention_dropout=0.1 masking.whole_word=true");
}

/// Runs the same few steps on both. Every line of the text is a document, so sequences hold several.
fn train_on_both(settings: &str) {
    assert!(CONFIG.contains("documents = \"line\""));
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let sets: Vec<String> = settings.split(' ').map(|set| format!("--set {set}")).collect();
    for device in ["cpu", "gpu"] {
        let line = format!("train run.toml --out {device} --device {device} --set train.steps=6 {}", sets.join(" "));
        shop.done(&line, &[]);
    }
    let (cpu, gpu) = (losses(&shop, "cpu"), losses(&shop, "gpu"));
    assert_eq!((cpu.len(), gpu.len()), (6, 6));
    assert!(cpu[5] < cpu[0], "nothing was learnt: {cpu:?}");
    for (step, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
        let apart = (cpu - gpu).abs() / cpu;
        assert!(apart < 1e-4, "{settings}, step {}: {cpu} on the CPU, {gpu} on the GPU, {apart:e} apart", step + 1);
    }
}

#[test]
fn a_model_trained_on_one_is_measured_alike_on_the_other() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu", &[]);
    let [cpu, gpu] = ["cpu", "gpu"].map(|device| {
        let result = shop.done(&format!("eval runs/run text.txt --json --device {device}"), &[]).json();
        result["cross_entropy"].as_f64().unwrap()
    });
    assert!((cpu - gpu).abs() < 1e-5 * cpu, "{cpu} on the CPU, {gpu} on the GPU");
}
