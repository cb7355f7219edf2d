//! Texts of which no token, or few, can be masked.

use crate::metrics::steps;
use crate::refusals::refused;
use crate::workshop::Workshop;
use serde_json::Value;

/// A text in lines without spaces. An English WordPiece tokenizer turns each line into one unknown token.
fn with_long_lines() -> Workshop {
    let shop = Workshop::new();
    shop.write("long.txt", format!("{}\n", "ภาษาไทยไม่มีช่องว่างระหว่างคำ".repeat(5)).repeat(200));
    shop.done("tokenizer --vocab-size 400 --out tokenizer.json text.txt", &[]);
    shop
}

#[test]
fn nothing_to_mask_is_refused() {
    let shop = with_long_lines();
    let words = [
        "nothing in it can be masked",
        "100.0 % of the tokens",
        "more than 100 characters",
        "the kind unigram",
        "--kind",
    ];
    refused(&shop, "prepare --tokenizer tokenizer.json --documents line --out prepared long.txt", &words);
    assert!(!shop.path("prepared").exists());
    let set = "--set tokenizer.file=tokenizer.json --set data.train=[\"long.txt\"]";
    refused(&shop, &format!("train run.toml --device cpu {set}"), &words);
    assert!(!shop.path("runs/run/checkpoints/step-000012").exists());

    shop.done("train run.toml --device cpu --out run", &[]);
    refused(&shop, "eval run long.txt --device cpu", &words);
    refused(&shop, "eval run long.txt --device cpu --pll", &words);
}

#[test]
fn many_unknown_tokens_are_warned_of() {
    let shop = with_long_lines();
    let mixed = [shop.text("text.txt"), "ж ".repeat(3000)].join("\n");
    shop.write("mixed.txt", &mixed);
    let words = ["% of the tokens of the training text are unknown", "lacks characters such as ж"];
    let prepared =
        shop.done("prepare --tokenizer tokenizer.json --documents line --out prepared mixed.txt", &[]).stderr;
    assert!(words.iter().all(|word| prepared.contains(word)), "{prepared}");
    let trained = shop.done("train run.toml --device cpu --set data.prepared=prepared --out run", &[]).stderr;
    assert!(trained.contains("% of the tokens of the training part of data.prepared are unknown"), "{trained}");
    let eval = shop.done("eval run mixed.txt --device cpu", &[]).stderr;
    assert!(eval.contains("% of the tokens of the text are unknown"), "{eval}");
    let usual = shop.done("eval run text.txt --device cpu", &[]).stderr;
    assert!(!usual.contains("unknown"), "{usual}");
}

/// Nothing was measured, so there is no loss of 0 and no perplexity of 1 that would pass for the best.
#[test]
fn a_validation_without_masked_tokens_has_no_figures() {
    let shop = with_long_lines();
    let set = "--set tokenizer.file=tokenizer.json --set data.validation=[\"long.txt\"]";
    let trained = shop.done(&format!("train run.toml --device cpu --out run {set}"), &[]);
    assert!(trained.stderr.contains("100.0 % of the tokens of the validation text are unknown"), "{}", trained.stderr);
    assert!(trained.stderr.contains("no token of the validation part can be masked"), "{}", trained.stderr);
    assert!(trained.stdout.starts_with("no held-out loss"), "{}", trained.stdout);
    assert!(!(trained.stderr + &trained.stdout).contains("perplexity"));
    assert_eq!(steps(&shop, "run"), [(1..=12).collect(), vec![]]);
    let manifest = shop.text("run/checkpoints/step-000012/manifest.json");
    let state = serde_json::from_str::<Value>(&manifest).unwrap()["state"].clone();
    assert_eq!((&state["step"], &state["validation_loss"]), (&12.into(), &Value::Null), "{manifest}");
    assert_eq!(state["best_step"], Value::Null);
}
