//! What a start measures on a GPU and keeps, and the next start reads.

use crate::adapter;
use crate::resume::assert_same_end;
use crate::workshop::{Outcome, Workshop, names, outcome};
use cloze::kernels::KERNELS;
use serde_json::{Map, Value};

/// Trains with a cache directory of its own.
fn train(shop: &Workshop, out: &str, variables: &[(&str, &str)]) -> Outcome {
    train_as(shop, &format!("--set train.steps=2 --out {out}"), variables)
}

fn train_as(shop: &Workshop, line: &str, variables: &[(&str, &str)]) -> Outcome {
    let mut command = shop.command();
    command.env("XDG_CACHE_HOME", shop.path("cache")).envs(variables.iter().copied());
    outcome(command.args(["train", "run.toml", "--device", "gpu"]).args(line.split_whitespace()))
}

/// The file in the cache directory whose name starts like this.
fn cached(shop: &Workshop, start: &str) -> String {
    let name = names(shop.path("cache/cloze")).into_iter().find(|name| name.starts_with(start));
    format!("cache/cloze/{}", name.unwrap_or_else(|| panic!("no file {start}…")))
}

/// What was measured, by shape.
fn fastest(shop: &Workshop) -> Map<String, Value> {
    let record: Value = serde_json::from_str(&shop.text(&cached(shop, "kernels-"))).unwrap();
    record["fastest"].as_object().unwrap().clone()
}

#[test]
fn variants_are_measured_once() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let file = |start: &str| cached(&shop, start);
    let first = train(&shop, "first", &[("CLOZE_MEASURE_SECONDS", "100")]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stderr.contains("measuring the kernels' variants at "), "{}", first.stderr);
    let fastest = fastest(&shop);
    assert!(fastest.keys().any(|shape| shape.starts_with("matmul_nt a:")), "{fastest:?}");

    let second = train(&shop, "second", &[]);
    assert!(!second.stderr.contains("measuring") && !second.stderr.contains("checking"), "{}", second.stderr);
    let losses = |run: &str| {
        let text = shop.text(&format!("{run}/metrics.jsonl"));
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses("first"), losses("second"));

    // A damaged file is reported, and written again.
    shop.write(&file("kernels-"), "{");
    let pipelines = std::fs::read_dir(shop.path("cache/cloze")).unwrap().count() > 1;
    if pipelines {
        shop.write(&file("pipelines-"), "damaged");
    }
    let third = train(&shop, "third", &[]);
    assert_eq!(third.code, 0, "{}", third.stderr);
    assert!(third.stderr.contains("the kernels are checked anew"), "{}", third.stderr);
    assert_eq!(third.stderr.contains("the pipelines are compiled anew"), pipelines, "{}", third.stderr);
    assert!(serde_json::from_str::<Value>(&shop.text(&file("kernels-"))).is_ok());

    let forced = train(&shop, "forced", &[("CLOZE_VARIANTS", "matmul_nt/tiled")]);
    assert!(forced.stderr.contains(" matmul_nt tiled, "), "{}", forced.stderr);
    let wrong = train(&shop, "wrong", &[("CLOZE_VARIANTS", "matmul_nt/quick")]);
    assert!(wrong.code == 1 && wrong.stderr.contains("CLOZE_VARIANTS"), "{}", wrong.stderr);
}

/// A start without time for measuring keeps nothing, and the next one with time measures everything.
#[test]
fn what_was_not_measured_runs_by_design_and_is_measured_later() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let first = train(&shop, "first", &[("CLOZE_MEASURE_SECONDS", "0")]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(!first.stderr.contains("measuring") && fastest(&shop).is_empty(), "{}", first.stderr);
    let shapes = "shapes run by design, to be measured at the next start";
    let by_design = |stderr: &str| -> usize {
        let line = stderr.lines().find(|line| line.contains("kernels: ")).unwrap_or_else(|| panic!("{stderr}"));
        assert!(line.ends_with(shapes), "{line}");
        line.split_whitespace().find_map(|word| word.parse().ok()).expect("a number of shapes")
    };
    let count = by_design(&first.stderr);

    let second = train(&shop, "second", &[("CLOZE_MEASURE_SECONDS", "100")]);
    assert!(second.stderr.contains(&format!("measuring the kernels' variants at {count} shapes")), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("{count} shapes run the variant that was measured")), "{}", second.stderr);
    assert_eq!(fastest(&shop).len(), count);
    let third = train(&shop, "third", &[]);
    assert!(third.stderr.contains(&format!("{count} shapes run the variant that was measured")), "{}", third.stderr);

    let wrong = train(&shop, "wrong", &[("CLOZE_MEASURE_SECONDS", "soon")]);
    assert!(wrong.code == 1 && wrong.stderr.contains("CLOZE_MEASURE_SECONDS: `soon`"), "{}", wrong.stderr);
}

/// A run continues with the variants that it began with, whatever the cache says by then, and even without the cache.
#[test]
fn a_resume_takes_the_variants_that_its_run_began_with() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let settings = "--set train.steps=6 --set checkpoint.every=3 --set checkpoint.keep=10 --set model.dropout=0.1";
    let unmeasured = ("CLOZE_MEASURE_SECONDS", "0");
    let whole = train_as(&shop, &format!("{settings} --out whole"), &[unmeasured]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let began = variants(&shop, "whole");
    let resume = |run: &str| {
        shop.copy("whole", run);
        std::fs::remove_dir_all(shop.path(&format!("{run}/checkpoints/step-000006"))).unwrap();
        train_as(&shop, &format!("{settings} --out {run} --resume"), &[unmeasured])
    };
    let record = cached(&shop, "kernels-");
    let mut changed: Value = serde_json::from_str(&shop.text(&record)).unwrap();
    for (shape, name) in began.iter().filter(|(shape, _)| shape.starts_with("matmul") || shape.starts_with("qkv ")) {
        changed["fastest"][shape] = if name == "tiled" { "direct".into() } else { "tiled".into() };
    }
    shop.write(&record, changed.to_string());
    train_as(&shop, &format!("{settings} --out fresh"), &[unmeasured]);
    assert_ne!(variants(&shop, "fresh"), began, "the cache says what it said");
    let ended = resume("changed");
    assert!(ended.stderr.contains("the one that the run began with"), "{}", ended.stderr);
    assert_same_end(&shop, "whole", "changed", 6);

    shop.write(&record, "{");
    resume("damaged");
    assert_same_end(&shop, "whole", "damaged", 6);
    std::fs::remove_dir_all(shop.path("cache")).unwrap();
    resume("removed");
    assert_same_end(&shop, "whole", "removed", 6);

    // A variant that the device no longer computes correctly is named.
    shop.copy("whole", "broken");
    std::fs::remove_dir_all(shop.path("broken/checkpoints/step-000006")).unwrap();
    let Some((kernel, used)) = beside_a_reference(&began) else {
        return adapter::skip("all that the run began with are references, and without one nothing is trained");
    };
    let broken = format!("{kernel}/{used}");
    let broken = [unmeasured, ("CLOZE_TEST_BREAK", &broken)];
    let ended = train_as(&shop, &format!("{settings} --out broken --resume"), &broken);
    let named = format!("the run began with the kernel variant `{kernel} {used}`");
    assert!(ended.code == 0 && ended.stderr.contains(&named), "{}", ended.stderr);
}

/// The variants that a run began with, by shape.
fn variants(shop: &Workshop, run: &str) -> Map<String, Value> {
    let manifest = shop.text(&format!("{run}/checkpoints/step-000003/manifest.json"));
    serde_json::from_str::<Value>(&manifest).unwrap()["state"]["variants"].as_object().unwrap().clone()
}

/// A variant that some shapes run, other than the reference of its kernel.
fn beside_a_reference(variants: &Map<String, Value>) -> Option<(&str, &str)> {
    let mut shapes = variants.iter().map(|(shape, name)| (shape.split(' ').next(), name.as_str()));
    shapes.find_map(|(kernel, name)| {
        let kernel = KERNELS.iter().find(|known| Some(known.name) == kernel).expect("a shape begins with its kernel");
        let name = name.expect("a variant has a name");
        (kernel.reference().name != name).then_some((kernel.name, name))
    })
}
