//! Models in the formats of Hugging Face transformers: `kernels-tests/golden` has some, which get a tokenizer here.

mod encoders;

use crate::workshop::Workshop;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::{Path, PathBuf};

/// The folder of a golden model, without a tokenizer.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/golden").join(name)
}

/// A tensor of a file, for taking apart and putting together.
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
    shop.write(&format!("{name}/tokenizer.json"), tokenizer_json(100));
}

/// A tokenizer.json of `size` tokens: the special ones, the letters, and filling.
fn tokenizer_json(size: usize) -> String {
    let vocab: serde_json::Map<String, serde_json::Value> =
        vocabulary(size).into_iter().enumerate().map(|(id, token)| (token, id.into())).collect();
    let is_special = |token: &str| ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].contains(&token);
    let special = |(token, id): (&String, &serde_json::Value)| {
        serde_json::json!({"id": id, "content": token, "special": true, "single_word": false, "lstrip": false,
                           "rstrip": false, "normalized": false})
    };
    let specials: Vec<serde_json::Value> = vocab.iter().filter(|(token, _)| is_special(token)).map(special).collect();
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": specials, "normalizer": null,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab}
    })
    .to_string()
}

fn vocabulary(size: usize) -> Vec<String> {
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let letters = ('a'..='z').map(String::from).chain(('a'..='z').map(|letter| format!("##{letter}")));
    let filling = (0..).map(|number| format!("[unused{number}]"));
    specials.into_iter().chain(letters).chain(filling).take(size).collect()
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
