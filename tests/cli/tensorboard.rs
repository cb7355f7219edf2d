//! `train.tensorboard`: what TensorBoard shows is what `metrics.jsonl` holds.

use crate::adapter;
use crate::event_files::{Shown, shown};
use crate::metrics::lines;
use crate::resume::assert_same_end;
use crate::workshop::{Workshop, names};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const TRAIN: &str = "train run.toml --set train.tensorboard=true --set train.tensorboard_histograms=4 --out run";

/// Compares the scalars of a run with `metrics.jsonl`, each step once, and returns what is shown.
pub fn assert_shows_the_metrics(shop: &Workshop, run: &str) -> Shown {
    let mut scalars = BTreeMap::<String, BTreeMap<u64, f32>>::new();
    for line in lines(shop, run) {
        let (group, numbers) = match line.get("validation") {
            Some(numbers) => ("validation", numbers),
            None => ("train", &line),
        };
        for (name, number) in numbers.as_object().unwrap().iter().filter(|(name, _)| *name != "step") {
            let steps = scalars.entry(format!("{group}/{name}")).or_default();
            steps.insert(line["step"].as_u64().unwrap(), number.as_f64().unwrap() as f32);
        }
    }
    let shown = shown(&shop.path(&format!("{run}/tensorboard")));
    assert!(!scalars.is_empty(), "{run} has measured nothing");
    assert_eq!(shown.scalars, scalars);
    shown
}

#[test]
fn everything_measured_is_shown() {
    let shop = Workshop::new();
    shop.done(&format!("{TRAIN} --device cpu"), &[]);
    let shown = assert_shows_the_metrics(&shop, "run");
    assert!(shown.scalars.contains_key("train/loss") && shown.scalars.contains_key("validation/perplexity"));

    let text = &shown.texts["config"][&1];
    let config: String = text.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap())).collect();
    assert_eq!(config, shop.text("run/config.toml"));
    assert_histograms(&shop, &shown, &[4, 8, 12]);
}

/// There are histograms of every parameter and its gradient at these steps. Those of the weights count all values of the model.
fn assert_histograms(shop: &Workshop, shown: &Shown, at: &[u64]) {
    let mut counts = BTreeMap::from([("weights", 0.0), ("gradients", 0.0)]);
    let mut parameters = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (tag, steps) in &shown.histograms {
        let (group, parameter) = tag.split_once('/').unwrap();
        parameters.entry(group).or_default().insert(parameter);
        assert_eq!(steps.keys().copied().collect::<Vec<u64>>(), at, "{tag}");
        for histogram in steps.values() {
            let [min, max, count, sum, squares] = histogram.numbers;
            assert!(min <= max && min * count <= sum && sum <= max * count && squares >= 0.0, "{tag}: {histogram:?}");
            assert_eq!(histogram.counts.iter().sum::<f64>(), count, "{tag}");
            assert_eq!(histogram.limits.len(), histogram.counts.len());
            assert!(histogram.limits.is_sorted_by(|a, b| a < b), "{tag}");
            assert!(histogram.limits[0] >= min && *histogram.limits.last().unwrap() >= max, "{tag}");
        }
        *counts.get_mut(group).unwrap() += steps[&at[0]].numbers[2];
    }
    assert_eq!(parameters["weights"], parameters["gradients"]);
    // Two moments a parameter.
    let moments = shop.read(&format!("run/checkpoints/step-{:06}/training.safetensors", at.last().unwrap()));
    let length = u64::from_le_bytes(moments[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&moments[8..8 + length]).unwrap();
    let size = |tensor: &Value| tensor["shape"].as_array()?.iter().map(Value::as_f64).product::<Option<f64>>();
    let values = header.as_object().unwrap().values().filter_map(size).sum::<f64>() / 2.0;
    assert_eq!((counts["weights"], counts["gradients"]), (values, values));
}

#[test]
fn a_resumed_run_shows_each_step_once() {
    let shop = Workshop::new();
    let line = format!("{TRAIN} --device cpu");
    shop.done(&line, &[]);
    // The file as a kill after step 11 leaves it, in the middle of a record.
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    let name = format!("run/tensorboard/{}", names(shop.path("run/tensorboard"))[0]);
    let whole = shop.read(&name);
    shop.write(&name, &whole[..whole.len() - 20]);
    // The clock is set back meanwhile.
    let later = "run/tensorboard/events.out.tfevents.9000000000.cloze";
    std::fs::rename(shop.path(&name), shop.path(later)).unwrap();

    shop.done(&format!("{line} --resume --set train.steps=14"), &[]);
    assert_eq!(names(shop.path("run/tensorboard")).len(), 2);
    let shown = assert_shows_the_metrics(&shop, "run");
    assert_eq!(shown.scalars["train/loss"].len(), 14);
    assert_eq!(shown.texts["config"].keys().collect::<Vec<_>>(), [&1, &9]);
    assert_eq!(shown.histograms["weights/embeddings.tokens.weight"].keys().collect::<Vec<_>>(), [&4, &8, &12]);
}

/// A run that has saved nothing starts over.
#[test]
fn a_run_that_begins_anew_shows_nothing_of_before() {
    let shop = Workshop::new();
    let line = format!("{TRAIN} --device cpu");
    shop.done(&line, &[]);
    std::fs::remove_dir_all(shop.path("run/checkpoints")).unwrap();
    shop.done(&format!("{line} --set train.steps=7"), &[]);
    let shown = assert_shows_the_metrics(&shop, "run");
    assert_eq!(shown.scalars["train/loss"].len(), 7);
}

#[test]
fn a_file_that_can_not_be_written_is_named() {
    let shop = Workshop::new();
    std::fs::create_dir(shop.path("run")).unwrap();
    shop.write("run/tensorboard", "");
    let refused = shop.run(&format!("{TRAIN} --device cpu"), &[]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("error: run/tensorboard: "), "{}", refused.stderr);
}

#[test]
fn histograms_change_no_bits_on_the_cpu() {
    histograms_change_no_bits("cpu", 12);
    histograms_change_no_bits("cpu --set train.micro_batch=2 --set train.precision=f16", 12);
}

#[test]
fn histograms_change_no_bits_on_the_gpu() {
    if adapter::present() {
        histograms_change_no_bits("gpu --set train.steps=4", 4);
    }
}

fn histograms_change_no_bits(device: &str, last: u64) {
    let shop = Workshop::new();
    let line = format!("train run.toml --device {device} --set model.dropout=0.1");
    shop.done(&format!("{line} --out without"), &[]);
    assert!(!shop.path("without/tensorboard").exists());
    let histograms = "--set train.tensorboard=true --set train.tensorboard_histograms=1";
    shop.done(&format!("{line} --out with {histograms}"), &[]);
    assert_same_end(&shop, "without", "with", last);
    assert_shows_the_metrics(&shop, "with");
}
