//! Whole models against PyTorch: `golden/` holds what transformers computed for small ones.

use crate::adapter;
use cloze::device::Device;
use cloze::doctor::golden::Check;
use cloze::doctor::golden::Golden;
use std::path::{Path, PathBuf};

#[test]
fn cpu() {
    check_all(&Device::Cpu);
}

#[test]
fn gpu() {
    for gpu in adapter::gpus("golden::gpu") {
        check_all(&Device::Gpu(Box::new(gpu.clone())));
    }
}

fn check_all(device: &Device) {
    let failures: Vec<String> = cases().iter().flat_map(|case| check(case, device)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn cases() -> Vec<Golden> {
    let root = folder();
    let entries = std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("batch.safetensors").is_file());
    folders.sort();
    assert!(!folders.is_empty(), "{} holds no golden case", root.display());
    folders.iter().map(|folder| Golden::open(folder).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// Where the cases are.
pub fn folder() -> PathBuf {
    std::env::var_os("CLOZE_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/golden"), PathBuf::from)
}

fn check(case: &Golden, device: &Device) -> Vec<String> {
    figures(&case.check(device).unwrap_or_else(|error| panic!("{}: {error}", case.name)))
}

/// Prints every figure, and returns what is out of bounds.
pub fn figures(checks: &[Check]) -> Vec<String> {
    for check in checks {
        println!("{:<40} {:.2e} (bound {:.0e})", check.what, check.error, check.allowed);
    }
    let failed = checks.iter().filter(|check| !check.passed);
    failed.flat_map(|check| check.problems.iter().map(|problem| format!("{}: {problem}", check.what))).collect()
}

#[test]
fn a_wrong_model_is_caught() {
    let mut golden = Golden::embedded().unwrap();
    golden.values[1].iter_mut().for_each(|value| *value *= 1.1);
    let failed = check(&golden, &Device::Cpu).join("\n");
    for what in ["bert: logits", "bert: hidden", "bert: loss", "bert: gradients"] {
        assert!(failed.contains(what), "nothing of {what} in:\n{failed}");
    }
}
