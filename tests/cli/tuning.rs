//! What a start finds out about a GPU, and the next one reads.

use crate::adapter;
use crate::workshop::{Outcome, Workshop, names, outcome};
use serde_json::Value;

/// Trains with a cache directory of its own.
fn train(shop: &Workshop, out: &str, variants: Option<&str>) -> Outcome {
    let mut command = shop.command();
    command.env("XDG_CACHE_HOME", shop.path("cache")).envs(variants.map(|variants| ("CLOZE_VARIANTS", variants)));
    outcome(command.args(["train", "run.toml", "--device", "gpu", "--set", "train.steps=2", "--out", out]))
}

#[test]
fn variants_are_measured_once() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let file = |start: &str| {
        let name = names(shop.path("cache/cloze")).into_iter().find(|name| name.starts_with(start));
        format!("cache/cloze/{}", name.unwrap_or_else(|| panic!("no file {start}…")))
    };
    let first = train(&shop, "first", None);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stderr.contains("measuring the kernels' variants at "), "{}", first.stderr);
    let record: Value = serde_json::from_str(&shop.text(&file("kernels-"))).unwrap();
    let fastest = record["fastest"].as_object().unwrap();
    assert!(fastest.keys().any(|shape| shape.starts_with("matmul_nt a:")), "{fastest:?}");

    let second = train(&shop, "second", None);
    assert!(!second.stderr.contains("measuring") && !second.stderr.contains("checking"), "{}", second.stderr);
    let losses = |run: &str| {
        let text = shop.text(&format!("{run}/metrics.jsonl"));
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses("first"), losses("second"));

    // Damage is told, and mended.
    shop.write(&file("kernels-"), "{");
    let pipelines = std::fs::read_dir(shop.path("cache/cloze")).unwrap().count() > 1;
    if pipelines {
        shop.write(&file("pipelines-"), "damaged");
    }
    let third = train(&shop, "third", None);
    assert_eq!(third.code, 0, "{}", third.stderr);
    assert!(third.stderr.contains("the kernels are checked anew"), "{}", third.stderr);
    assert_eq!(third.stderr.contains("the pipelines are compiled anew"), pipelines, "{}", third.stderr);
    assert!(serde_json::from_str::<Value>(&shop.text(&file("kernels-"))).is_ok());

    let forced = train(&shop, "forced", Some("matmul_nt/tiled"));
    assert!(forced.stderr.contains(" matmul_nt tiled, "), "{}", forced.stderr);
    let wrong = train(&shop, "wrong", Some("matmul_nt/quick"));
    assert!(wrong.code == 1 && wrong.stderr.contains("CLOZE_VARIANTS"), "{}", wrong.stderr);
}
