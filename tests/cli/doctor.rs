//! `cloze doctor`, and what happens to a variant that gives wrong answers. CLOZE_TEST_BREAK, which breaks a variant, is only
//! for these tests.

use crate::adapter;
use crate::workshop::{Outcome, Workshop, outcome};
use cloze::exec::gpu::adapters;
use cloze::kernels::{KERNELS, Kernel, Precision};
use serde_json::Value;

const BREAK: &str = "CLOZE_TEST_BREAK";

/// The binary with a variant of a kernel broken.
fn broken(shop: &Workshop, variant: &str, line: &str) -> Outcome {
    outcome(shop.command().env(BREAK, variant).args(line.split_whitespace()))
}

/// Every variant that an adapter with these features runs, in the order of the table: in f32, and then, if it has f16, the
/// variants of the kernels that have a form of their own in f16.
fn variants(features: wgpu::Features) -> Vec<(&'static str, &'static str, &'static str)> {
    let of = |kernel: &'static Kernel| kernel.variants.iter().map(move |variant| (kernel, variant));
    let offered = || KERNELS.iter().flat_map(|kernel| of(kernel)).filter(|(_, v)| features.contains(v.needs));
    let full = offered().filter(|(_, variant)| variant.computes_in(Precision::F32));
    let half = offered().filter(|(kernel, _)| kernel.stores_reals());
    let half = half.filter(|_| features.contains(Precision::F16.needs()));
    let all = full.map(|both| (both, "f32")).chain(half.map(|both| (both, "f16")));
    all.map(|((kernel, variant), precision)| (kernel.name, variant.name, precision)).collect()
}

fn failed(device: &Value) -> Vec<(&str, &str)> {
    let kernels = device["kernels"].as_array().unwrap().iter().filter(|kernel| kernel["passed"] == false);
    kernels.map(|kernel| (kernel["kernel"].as_str().unwrap(), kernel["variant"].as_str().unwrap())).collect()
}

#[test]
fn a_cpu_needs_no_adapter() {
    let shop = Workshop::new();
    let table = shop.done("doctor --device cpu", &[]).stdout;
    for line in
        ["cpu: cpu (", "bert: loss", "bert: gradients", "bert: parameters after ten steps", "GFLOP/s", "all passed"]
    {
        assert!(table.contains(line), "no `{line}` in:\n{table}");
    }
    assert!(!table.contains("FAILED"), "{table}");

    let report = shop.done("doctor --device cpu --json", &[]).json();
    assert_eq!((&report["passed"], &report["version"]), (&true.into(), &env!("CARGO_PKG_VERSION").into()));
    let [device] = report["devices"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&device["device"], &device["passed"]), (&"cpu".into(), &true.into()));
    assert_eq!(device["kernels"], Value::Array(vec![]), "its kernels are the twins");
    assert_eq!(device["golden"].as_array().unwrap().len(), 6);
    for check in device["golden"].as_array().unwrap().iter().chain([&device["repeat"]]) {
        assert!(check["error"].as_f64().unwrap() <= check["allowed"].as_f64().unwrap(), "{check}");
        assert!(check["passed"].as_bool().unwrap() && check["problems"].as_array().unwrap().is_empty(), "{check}");
    }
    for figure in ["bytes_per_second", "flops_per_second"] {
        assert!(device["speed"][figure].as_f64().unwrap() > 1e6, "{}", device["speed"]);
    }
}

#[test]
fn every_variant_of_every_kernel_is_checked() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let report = shop.done("doctor --json", &[]).json();
    let devices = report["devices"].as_array().unwrap();
    assert_eq!(devices.len(), adapters().unwrap().len() + 1);
    assert_eq!((&devices[0]["device"], &devices[devices.len() - 1]["device"]), (&"0".into(), &"cpu".into()));
    for (gpu, adapter) in devices.iter().zip(adapters().unwrap()) {
        let kernels = gpu["kernels"].as_array().unwrap();
        let text = |kernel: &'_ Value, key: &str| kernel[key].as_str().unwrap().to_string();
        let found = kernels.iter().map(|k| (text(k, "kernel"), text(k, "variant"), text(k, "precision")));
        let found: Vec<_> = found.collect();
        let found: Vec<_> = found.iter().map(|(k, v, p)| (k.as_str(), v.as_str(), p.as_str())).collect();
        assert_eq!(found, variants(adapter.features()));
        assert!(kernels.iter().all(|k| k["worst"].as_f64().unwrap() <= 1.0 && k["trials"].as_u64().unwrap() > 0));
        assert!(gpu["limits"]["binding"].as_u64().unwrap() >= 128 << 20, "{}", gpu["limits"]);
    }
}

#[test]
fn a_wrong_variant_is_told() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let ended = broken(&shop, "attention/reference", "doctor --device gpu --json");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let report = ended.json();
    assert_eq!((&report["passed"], &report["devices"][0]["passed"]), (&false.into(), &false.into()));
    let half = adapters().unwrap()[0].features().contains(Precision::F16.needs());
    let wrong = vec![("attention", "reference"); if half { 2 } else { 1 }];
    assert_eq!(failed(&report["devices"][0]), wrong);

    let ended = broken(&shop, "matmul_nt/direct", "doctor --device gpu");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let failed: Vec<&str> =
        ended.stdout.lines().filter(|line| line.trim_start().starts_with("matmul_nt direct")).collect();
    assert_eq!(failed.len(), wrong.len(), "{}", ended.stdout);
    assert!(failed.iter().all(|line| line.ends_with("FAILED")), "{}", ended.stdout);
    assert!(ended.stdout.contains("elements of `c` are off"), "{}", ended.stdout);
}

#[test]
fn training_goes_on_without_a_wrong_variant() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let train = |out: &str| format!("train run.toml --device gpu --set train.steps=2 --out {out}");
    let ended = broken(&shop, "matmul_nt/direct", &train("broken"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let warning = "warning: the kernel `matmul_nt` fails its check as `direct` on ";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    let variants = ended.stderr.split(['\n', ',', ':']).map(str::trim);
    let used = variants.filter(|variant| variant.starts_with("matmul_nt ")).collect::<Vec<_>>();
    assert!(used.len() == 1 && !used[0].contains("direct"), "{used:?}: {}", ended.stderr);
    // The result is not kept, so the next start runs the variant again.
    let whole = shop.done(&train("whole"), &[]);
    assert!(!whole.stderr.contains("fails its check"), "{}", whole.stderr);
}

#[test]
fn nothing_is_trained_by_a_wrong_reference() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let ended = broken(&shop, "layer_norm/reference", "train run.toml --device gpu");
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("error: the kernel `layer_norm` fails its check on "), "{}", ended.stderr);
    assert!(ended.stderr.contains("--device cpu"), "{}", ended.stderr);
    assert!(!shop.path("runs/run/metrics.jsonl").exists());
}

#[test]
fn only_variants_that_exist_are_broken() {
    if !adapter::present() {
        return;
    }
    let ended = broken(&Workshop::new(), "matmul_nt/fast", "train run.toml --device gpu");
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("CLOZE_TEST_BREAK: `matmul_nt/fast` is none of embedding/"), "{}", ended.stderr);
}
