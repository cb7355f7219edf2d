//! Muon against `torch.optim.Muon`: ten steps of whole models, and single iterations in f64.

use crate::adapter;
use crate::golden::{figures, folder};
use cloze::device::Device;
use cloze::doctor::golden::{Golden, OPTIMIZER};
use cloze::optim::Muon;

/// What `make_muon.py` set, over the learning rate of AdamW.
const MUON: Muon = Muon { rate: 20.0, momentum: 0.95, weight_decay: 0.1, adamw: OPTIMIZER };

#[test]
fn cpu() {
    check(&Device::Cpu, MUON, "");
}

#[test]
fn gpu() {
    for gpu in adapter::gpus("muon::gpu") {
        check(&Device::Gpu(Box::new(gpu.clone())), MUON, "");
    }
}

#[test]
fn a_wrong_rule_is_caught() {
    for wrong in [Muon { momentum: 0.9, ..MUON }, Muon { weight_decay: 0.0, ..MUON }, Muon { rate: 19.0, ..MUON }] {
        check(&Device::Cpu, wrong, "parameters after ten steps");
    }
}

/// Compares the steps of both cases. `caught` names what must be out of bounds; if it is empty, nothing may be.
fn check(device: &Device, optimizer: Muon, caught: &str) {
    for case in ["bert", "modernbert"] {
        let golden = Golden::open_with(&folder().join(case), "muon.safetensors").unwrap();
        let failures = figures(&golden.check_steps(device, &optimizer).unwrap()).join("\n");
        match caught.is_empty() {
            true => assert!(failures.is_empty(), "{failures}"),
            false => assert!(failures.contains(caught), "{case}: nothing of {caught} with {optimizer:?}"),
        }
    }
}
