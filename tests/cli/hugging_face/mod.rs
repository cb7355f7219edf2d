//! Models in the formats of Hugging Face transformers. They come from `kernels-tests/golden`, and get a tokenizer here.

mod encoders;
mod export;
mod hostile;
mod import;
mod init;
mod sentence_transformers;
mod tokenizers;

use crate::workshop::Workshop;
use cloze::checkpoint::SavedModel;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The folder of a golden model, without a tokenizer.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/golden").join(name)
}

/// A tensor of a file, for tests that take a file apart and put it together again.
struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Copies a golden model into the workshop, and gives it a tokenizer.
fn copy_golden(shop: &Workshop, name: &str) {
    std::fs::create_dir(shop.path(name)).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden(name).join(file), shop.path(name).join(file)).unwrap();
    }
    shop.write(&format!("{name}/tokenizer.json"), tokenizer_json(&vocabulary(name)));
}

/// A tokenizer.json for these tokens.
fn tokenizer_json(vocabulary: &[String]) -> String {
    let ids = vocabulary.iter().enumerate().map(|(id, token)| (token.clone(), id.into()));
    let vocab: serde_json::Map<String, Value> = ids.collect();
    let is_special = |token: &str| token.starts_with('[') && !token.starts_with("[unused");
    let special = |(id, token): (usize, &String)| {
        json!({"id": id, "content": token, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false})
    };
    let specials = vocabulary.iter().enumerate().filter(|(_, token)| is_special(token)).map(special);
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": specials.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab}
    })
    .to_string()
}

/// The special tokens, the letters, and filler tokens: fewer than any golden model has. RoBERTa's padding is number 1.
fn vocabulary(model: &str) -> Vec<String> {
    let specials = match model {
        "roberta" => ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"],
        _ => ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    };
    let letters = ('a'..='z').map(String::from).chain(('a'..='z').map(|letter| format!("##{letter}")));
    let filling = (0..43).map(|number| format!("[unused{number}]"));
    specials.map(String::from).into_iter().chain(letters).chain(filling).collect()
}

/// Changes a JSON file.
fn edit_json(shop: &Workshop, file: &str, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&shop.read(file)).unwrap();
    edit(&mut value);
    shop.write(file, value.to_string());
}

/// The values of every parameter of a model in the workshop.
fn values(shop: &Workshop, folder: &str) -> Vec<Vec<f32>> {
    SavedModel::open(&shop.path(folder)).unwrap().values().to_vec()
}

fn read_tensors(path: &Path) -> Vec<Stored> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |(name, view): (&str, TensorView)| Stored {
        name: name.to_string(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    file.iter().map(stored).collect()
}

fn write_tensors(path: &Path, tensors: &[Stored]) {
    let views = tensors.iter().map(|t| (&t.name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
