//! `cloze train --profile`: a table and a trace.

use crate::adapter;
use crate::workshop::Workshop;
use cloze::kernels::KERNELS;
use serde_json::Value;

#[test]
fn a_profile_says_where_the_time_goes() {
    let devices: &[&str] = if adapter::present() { &["cpu", "gpu"] } else { &["cpu"] };
    for device in devices {
        let shop = Workshop::new();
        let ended = shop.done(&format!("train run.toml --device {device} --profile=2"), &[]);
        for line in ["profile of steps 4 to 5 on", "kernel, variant", "matmul_tn ", "the host worked "] {
            assert!(ended.stderr.contains(line), "{device}: no `{line}` in:\n{}", ended.stderr);
        }
        let trace: Value = serde_json::from_slice(&shop.read("runs/run/profile.json")).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |category: &str| events.iter().filter(|event| event["cat"] == category).collect::<Vec<_>>();
        let phases: Vec<&str> = of("phase").iter().map(|event| event["name"].as_str().unwrap()).collect();
        assert_eq!(phases, ["accumulate", "update", "accumulate", "update"], "{device}");
        let kernels = of("kernel");
        let (mut end, mut computed) = (0.0, 0.0);
        for kernel in &kernels {
            assert!(KERNELS.iter().any(|known| kernel["name"] == known.name), "{kernel}");
            let [start, length] = ["ts", "dur"].map(|key| kernel[key].as_f64().unwrap());
            // Ticks and floats are rounded.
            assert!(start >= end - 1.0 && length >= 0.0, "{device}: {kernel} begins before {end}");
            (end, computed) = (start + length, computed + length);
        }
        assert!(computed > 0.0 && kernels.len() > 40, "{device}: {} calls", kernels.len());
    }
}

#[test]
fn a_profile_longer_than_the_training_is_of_what_there_is() {
    let shop = Workshop::new();
    let ended = shop.done("train run.toml --device cpu --profile --set train.steps=2", &[]);
    assert!(ended.stderr.contains("profile of steps 1 to 2 on"), "{}", ended.stderr);
    let ended = shop.run("train run.toml --device cpu --profile=0", &[]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}
