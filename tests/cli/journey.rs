//! The whole way, from text to a filled mask.

use crate::workshop::{Outcome, Workshop, names};
use serde_json::Value;

#[test]
fn wordpiece_from_text_to_a_filled_mask() {
    whole_way("wordpiece");
}

#[test]
fn bpe_from_text_to_a_filled_mask() {
    whole_way("bpe");
}

#[test]
fn unigram_from_text_to_a_filled_mask() {
    whole_way("unigram");
}

fn whole_way(kind: &str) {
    let shop = Workshop::new();
    let made = shop.done(&format!("tokenizer --kind {kind} --vocab-size 400 text.txt"), &[]);
    assert!(made.stdout.starts_with("tokenizer.json: 400 tokens\n"), "{}", made.stdout);

    let line = "prepare --tokenizer tokenizer.json --out prepared --documents line --validation-fraction 0.1 text.txt";
    let prepared = shop.done(line, &[]);
    assert!(prepared.stdout.starts_with("prepared: vocabulary of 400\n  training: "), "{}", prepared.stdout);
    assert_eq!(names(shop.path("prepared")).len(), 5);

    let trained = shop.done("train run.toml --device cpu --set data.prepared=prepared", &[]);
    assert!(trained.stdout.contains("try it: cloze fill-mask runs/run \"The [MASK] was dark.\""), "{}", trained.stdout);
    assert!(!shop.path("runs/run/data").exists(), "prepared data was prepared again");

    judge_evaluation(&shop, "prepared");
    judge_evaluation(&shop, "text.txt");
    judge_guesses(&shop);
}

fn judge_evaluation(shop: &Workshop, data: &str) {
    let line = format!("eval runs/run {data} --device cpu --json");
    let (first, second) = (shop.done(&line, &[]), shop.done(&line, &[]));
    assert_eq!(first.stdout, second.stdout, "the masks of an evaluation are fixed");
    let result = first.json();
    let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["accuracy", "cross_entropy", "masked_tokens", "perplexity", "unigram_cross_entropy"]);
    let number = |key: &str| result[key].as_f64().unwrap();
    assert!((number("perplexity") / number("cross_entropy").exp() - 1.0).abs() < 1e-12, "{result}");
    assert!(number("cross_entropy") < 400f64.ln(), "worse than a guess among 400 tokens: {result}");
    assert!(number("unigram_cross_entropy") < 400f64.ln() && number("masked_tokens") > 30.0, "{result}");
    assert!((0.0..=1.0).contains(&number("accuracy")), "{result}");
}

fn judge_guesses(shop: &Workshop) {
    let fill = |more: &[&str]| shop.done("fill-mask runs/run --device cpu --json", more);

    let guesses = fill(&["It was a [MASK] day.", "--top-k", "400"]).json();
    judge_candidates(&guesses, 400);
    let total: f64 = scores(&guesses).iter().sum();
    assert!((total - 1.0).abs() < 1e-4, "the scores of the whole vocabulary sum to {total}");

    let masks = fill(&["A [MASK] and a [MASK] again.", "--top-k", "3"]).json();
    assert_eq!(masks.as_array().unwrap().len(), 2);
    masks.as_array().unwrap().iter().for_each(|mask| judge_candidates(mask, 3));

    let mut command = shop.command();
    command.args(["fill-mask", "runs/run", "--device", "cpu", "--json", "--top-k", "2"]);
    let lines = crate::workshop::outcome(command.write_stdin("One [MASK].\n\nTwo [MASK] [MASK].\n"));
    let lines: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    judge_candidates(&lines[0], 2);
    assert_eq!(lines[1].as_array().unwrap().len(), 2);

    let Outcome { stdout, .. } = shop.done("fill-mask runs/run --device cpu --top-k 2", &["It was a [MASK] day."]);
    assert_eq!(stdout.lines().filter(|line| line.contains(" %  ")).count(), 2, "{stdout}");
}

/// A list as transformers' fill-mask pipeline gives it: best first, each with the keys of the pipeline.
fn judge_candidates(guesses: &Value, count: usize) {
    let list = guesses.as_array().unwrap();
    assert_eq!(list.len(), count);
    for guess in list {
        let keys: Vec<&String> = guess.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["score", "sequence", "token", "token_str"]);
        assert!(guess["token"].as_u64().unwrap() < 400 && guess["sequence"].is_string(), "{guess}");
    }
    let scores = scores(guesses);
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().sum::<f64>() < 1.0001, "{scores:?}");
}

fn scores(guesses: &Value) -> Vec<f64> {
    guesses.as_array().unwrap().iter().map(|guess| guess["score"].as_f64().unwrap()).collect()
}

#[test]
fn raw_text_is_enough() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out mine", &[]);
    let expected = [
        "checkpoints",
        "config.toml",
        "data",
        "data.settings",
        "data.sources.json",
        "lock",
        "metrics.jsonl",
        "run.json",
    ];
    assert_eq!(names(shop.path("mine")), expected);
    assert_eq!(names(shop.path("mine/checkpoints")), ["step-000006", "step-000008", "step-000012"]);

    // The config that is stored in the run's folder trains the same model again.
    shop.done("train mine/config.toml --device cpu --out again", &[]);
    for file in ["model.safetensors", "training.safetensors", "tokenizer.json"] {
        let of = |run: &str| shop.read(&format!("{run}/checkpoints/step-000012/{file}"));
        assert_eq!(of("mine"), of("again"), "{file}");
    }
}

#[test]
fn devices_are_listed() {
    let stdout = Workshop::new().done("devices", &[]).stdout;
    assert!(stdout.contains("\ncpu  cpu (") || stdout.starts_with("cpu  cpu ("), "{stdout}");
    assert!(stdout.contains("\n--device auto takes: "), "{stdout}");
}
