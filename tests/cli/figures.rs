//! Figures that can be worked out by hand.

use crate::workshop::Workshop;
use serde_json::Value;

/// In a text of one repeated word, the unigram frequencies give that word the probability (n + 1) / (n + V), where n is how
/// often it occurs in the training text and V is the size of the vocabulary. A sequence of 32 tokens, 15 % of which are
/// masked, has 5 tokens to guess.
#[test]
fn the_unigram_figure_of_one_word() {
    let shop = Workshop::new();
    shop.write("river.txt", "river ".repeat(5000));
    shop.done("tokenizer --vocab-size 64 river.txt", &[]);
    shop.done("prepare --tokenizer tokenizer.json --out prepared --documents line river.txt", &[]);
    shop.done("train run.toml --device cpu --set data.prepared=prepared --set train.steps=1", &[]);
    shop.write("test.txt", ["river ".repeat(30), "river ".repeat(30), "river ".repeat(30)].join("\n"));
    let result = shop.done("eval runs/run test.txt --documents line --device cpu --json", &[]).json();

    let manifest: Value = serde_json::from_slice(&shop.read("prepared/manifest.json")).unwrap();
    let (n, v) = (manifest["train"]["tokens"].as_f64().unwrap(), manifest["vocab_size"].as_f64().unwrap());
    assert_eq!(n, 4950.0, "1 % of 5000 words is held out");
    let expected = ((n + v) / (n + 1.0)).ln();
    let found = result["unigram_cross_entropy"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found} in place of {expected}");
    assert_eq!(result["masked_tokens"], 3 * 5);
}

/// The loss of the first step is near ln V, because the initial weights are small and predict almost uniformly.
#[test]
fn the_first_loss_and_the_learning_rates() {
    let shop = Workshop::new();
    let sets = "--set train.warmup_steps=3 --set train.steps=8 --set train.min_learning_rate=1e-3";
    shop.done(&format!("train run.toml --device cpu {sets}"), &[]);
    let log = shop.text("runs/run/metrics.jsonl");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps: Vec<Value> = lines.filter(|line| line.get("loss").is_some()).collect();
    let first = steps[0]["loss"].as_f64().unwrap();
    assert!((first - 400f64.ln()).abs() < 0.05, "{first} in place of about {}", 400f64.ln());

    // Up to 0.01 in three steps, then down towards 0.001 in a straight line over five.
    let expected = [0.01 / 3.0, 0.02 / 3.0, 0.01, 0.01, 0.0082, 0.0064, 0.0046, 0.0028];
    for (step, expected) in steps.iter().zip(expected) {
        let rate = step["learning_rate"].as_f64().unwrap();
        assert!((rate - expected).abs() < 1e-12, "step {}: {rate} in place of {expected}", step["step"]);
    }
    assert_eq!(steps.len(), 8);
}
