//! `cloze export`: what it writes, and models that no family of transformers computes.

use super::{copy_golden, edit_json};
use crate::refusals::refused;
use crate::workshop::{CONFIG, Workshop, names};
use serde_json::Value;

#[test]
fn a_run_goes_out_by_its_best_checkpoint() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let exported = shop.done("export run out", &[]);
    assert!(exported.stdout.starts_with("out: modernbert from run/checkpoints/step-0000"), "{}", exported.stdout);
    let best = exported.stdout.trim_end().rsplit(' ').next().unwrap();
    for file in names(shop.path("out")) {
        assert!(shop.read(&format!("out/{file}")) == shop.read(&format!("{best}/{file}")), "{file}");
    }
    let eval =
        |model: &str| shop.done(&format!("eval {model} text.txt --sequence-length 32 --device cpu --json"), &[]).json();
    assert_eq!(eval("run")["cross_entropy"], eval("out")["cross_entropy"]);
}

#[test]
fn what_transformers_cannot_compute_is_named() {
    let shop = Workshop::new();
    for (sets, words) in [
        ("model.first_attention_norm=true", &["model.first_attention_norm is true", "modernbert needs false"][..]),
        ("model.recipe=bert model.norm=pre", &["model.norm is \"pre\"", "bert needs \"post\""]),
        (
            "model.recipe=bert model.bias=false model.final_norm=true",
            &["model.bias is false", "model.final_norm is true"],
        ),
        ("model.bias=true", &["model.head_transform is false", "modernbert needs true"]),
        ("model.embedding_norm=false", &["model.embedding_norm is false", "needs true"]),
        ("model.recipe=bert model.position_offset=2", &["model.position_offset is 2", "roberta needs 1"]),
    ] {
        let options: String = sets.split(' ').map(|set| format!(" --set {set}")).collect();
        let _ = std::fs::remove_dir_all(shop.path("run"));
        shop.done(&format!("train run.toml --device cpu --out run --set train.steps=1{options}"), &[]);
        refused(&shop, "export run out", &[&["run: no family of transformers computes this model"], words].concat());
        // To Cloze it is a model like any other.
        shop.done("fill-mask run --device cpu", &["a [MASK] b"]);
    }
    assert!(!shop.path("out").exists());
}

#[test]
fn nothing_is_written_over() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    shop.write("file", "");
    std::fs::create_dir(shop.path("folder")).unwrap();
    for command in ["import", "export"] {
        for out in ["file", "folder", "bert"] {
            refused(&shop, &format!("{command} bert {out}"), &[out, "exists already", "choose another folder"]);
        }
    }
    assert_eq!(names(shop.path("bert")), ["config.json", "model.safetensors", "tokenizer.json"]);
}

#[test]
fn values_that_a_format_cannot_hold() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    let path = shop.path("bert").join("model.safetensors");
    let mut tensors = super::read_tensors(&path);
    tensors[0].bytes[..4].copy_from_slice(&1e6f32.to_le_bytes());
    super::write_tensors(&path, &tensors);
    refused(&shop, "export bert out --dtype f16", &["float16: ", &tensors[0].name, "--dtype bf16"]);
    assert!(!shop.path("out").exists());
    shop.done("export bert out --dtype bf16", &[]);
}

/// transformers keeps Cloze's section of the config when it saves a model that it changed.
#[test]
fn a_config_that_was_changed_is_read_by_transformers_keys() {
    let shop = Workshop::new();
    shop.write("bert.toml", CONFIG.replace("[model]", "[model]\nrecipe = \"bert\""));
    shop.done("train bert.toml --device cpu --out run --set train.steps=1", &[]);
    shop.done("export run out", &[]);
    let read = || cloze::hf::HfModel::open(&shop.path("out")).unwrap().config;
    assert_eq!(read().norm_eps, 1e-12);
    edit_json(&shop, "out/config.json", |config| config["layer_norm_eps"] = 1e-5.into());
    assert_eq!(read().norm_eps, 1e-5);
    edit_json(&shop, "out/config.json", |config| config["model_type"] = Value::from("roberta"));
    assert_eq!(read().position_offset, 1, "RoBERTa counts from the number after that of its padding, which is 0");
}
