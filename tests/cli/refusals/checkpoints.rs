//! Checkpoints that are damaged, and forged ones with correct hashes.

use super::refused;
use crate::workshop::Workshop;

const CHECKPOINT: &str = "run/checkpoints/step-000002";

fn trained() -> Workshop {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run --set train.steps=2", &[]);
    shop
}

fn fill(shop: &Workshop, model: &str, words: &[&str]) {
    refused(shop, &format!("fill-mask {model} [MASK] --device cpu"), words);
}

#[test]
fn damaged_files() {
    let shop = trained();
    for name in ["model.safetensors", "config.json", "tokenizer.json", "unigram.bin", "manifest.json"] {
        let file = format!("{CHECKPOINT}/{name}");
        let good = shop.read(&file);
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for damaged in [&flipped[..], &good[..good.len() - 7], b""] {
            shop.write(&file, damaged);
            fill(&shop, CHECKPOINT, &[name, "is damaged", "take another checkpoint"]);
        }
        // Without its manifest, a checkpoint is a folder as transformers saves it, and is accepted as that.
        if name != "manifest.json" {
            std::fs::remove_file(shop.path(&file)).unwrap();
            fill(&shop, CHECKPOINT, &[name, "check the path"]);
        }
        shop.write(&file, good);
    }
    shop.done(&format!("fill-mask {CHECKPOINT} [MASK] --device cpu"), &[]);
}

#[test]
fn a_run_without_a_whole_checkpoint() {
    let shop = trained();
    shop.write(&format!("{CHECKPOINT}/model.safetensors"), "gone");
    fill(&shop, "run", &["run", "no whole checkpoint", "let its training reach"]);
}

#[test]
fn forged_files() {
    let shop = trained();
    let config = shop.text(&format!("{CHECKPOINT}/config.json"));
    let model = shop.read(&format!("{CHECKPOINT}/model.safetensors"));
    let mut long_header = model.clone();
    long_header[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    let sizes = |from: &str, to: &str| config.replace(from, to).into_bytes();
    for (name, content, words) in [
        ("model.safetensors", long_header, &["model.safetensors", "not a sound safetensors file"][..]),
        ("model.safetensors", b"garbage".to_vec(), &["model.safetensors", "not a sound safetensors file"]),
        ("config.json", b"{}".to_vec(), &["config.json", "model_type is missing"]),
        (
            "config.json",
            sizes("\"layers\": 1", "\"layers\": 2"),
            &["config.json", "layer_types contradicts the section `cloze`"],
        ),
        ("config.json", sizes("\"hidden_size\": 32", "\"hidden_size\": 1048576"), &["config.json", "model.heads"]),
        ("config.json", sizes("\"heads\": 2", "\"heads\": 0"), &["config.json", "model.heads", "at least 1"]),
        (
            "config.json",
            sizes("\"vocab_size\": 400", "\"vocab_size\": 90"),
            &["model.safetensors", "the config asks for [90, 32]"],
        ),
        (
            "config.json",
            sizes("\"vocab_size\": 400", "\"vocab_size\": 18446744073709551615"),
            &["config.json", "model.vocab_size"],
        ),
    ] {
        shop.copy("run", "forged");
        shop.forge("forged/checkpoints/step-000002", name, &content);
        fill(&shop, "forged/checkpoints/step-000002", words);
        std::fs::remove_dir_all(shop.path("forged")).unwrap();
    }
}
