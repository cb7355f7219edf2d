//! `metrics.jsonl`, in the form on which tools that plot it may rely.

use crate::workshop::Workshop;
use serde_json::Value;

/// The steps that have a line of measurements, and those that have one of validation, in the order of the file.
pub fn steps(shop: &Workshop, run: &str) -> [Vec<u64>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for line in lines(shop, run) {
        let of_validation = line.get("validation").is_some();
        found[usize::from(of_validation)].push(line["step"].as_u64().unwrap());
    }
    found
}

/// The loss of every step.
pub fn losses(shop: &Workshop, run: &str) -> Vec<f64> {
    lines(shop, run).iter().filter_map(|line| line.get("loss")?.as_f64()).collect()
}

/// All lines, in the order of the file.
pub fn lines(shop: &Workshop, run: &str) -> Vec<Value> {
    let log = shop.text(&format!("{run}/metrics.jsonl"));
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn lines_have_the_promised_keys() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let [trained, validated] = steps(&shop, "run");
    assert_eq!(trained, (1..=12).collect::<Vec<u64>>());
    assert_eq!(validated, [6, 12]);

    let mut tokens = 0;
    for line in lines(&shop, "run") {
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        if line.get("validation").is_some() {
            assert_eq!(keys, ["step", "validation"]);
            let keys: Vec<&String> = line["validation"].as_object().unwrap().keys().collect();
            assert_eq!(keys, ["accuracy", "cross_entropy", "masked_tokens", "perplexity", "unigram_cross_entropy"]);
            continue;
        }
        assert_eq!(keys, ["accuracy", "grad_norm", "learning_rate", "loss", "step", "tokens", "tokens_per_second"]);
        let more = line["tokens"].as_u64().unwrap() - tokens;
        assert!((1..=8 * 32).contains(&more), "a step of 8 sequences of 32 had {more} tokens");
        tokens += more;
    }
}

#[test]
fn each_step_stands_there_once_after_a_resume() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let losses_before = losses(&shop, "run");
    // The file as a kill between the checkpoint of step 8 and the next one leaves it, in the middle of a line.
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    let log = shop.text("run/metrics.jsonl");
    let cut = log.find("{\"step\":11").unwrap() + 25;
    shop.write("run/metrics.jsonl", &log[..cut]);

    let resumed = shop.done("train run.toml --device cpu --out run --resume", &[]);
    assert!(resumed.stderr.contains("resuming after step 8"), "{}", resumed.stderr);
    let [trained, validated] = steps(&shop, "run");
    assert_eq!(trained, (1..=12).collect::<Vec<u64>>());
    assert_eq!(validated, [6, 12]);
    assert_eq!(losses(&shop, "run"), losses_before);
}
