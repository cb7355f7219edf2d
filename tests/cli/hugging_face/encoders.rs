//! Encoders that were saved without a masked-language-model head, as by sentence-transformers.

use super::{copy_golden, read_tensors, write_tensors};
use crate::workshop::Workshop;
use cloze::checkpoint::SavedModel;

/// The model without its head; `bare` leaves the model's name out of the tensors' names.
fn behead(shop: &Workshop, name: &str, base: &str, bare: bool) {
    let path = shop.path(name).join("model.safetensors");
    let mut tensors = read_tensors(&path);
    tensors.retain(|tensor| tensor.name.starts_with(base));
    if bare {
        tensors.iter_mut().for_each(|tensor| tensor.name = tensor.name[base.len()..].to_string());
    }
    write_tensors(&path, &tensors);
}

#[test]
fn encoders_open_with_a_fresh_head() {
    for (name, base) in [("bert", "bert."), ("roberta", "roberta."), ("modernbert", "model.")] {
        for bare in [false, true] {
            let shop = Workshop::new();
            copy_golden(&shop, name);
            let whole = SavedModel::open(&shop.path(name)).unwrap();
            assert!(whole.has_head);
            behead(&shop, name, base, bare);
            let encoder = SavedModel::open(&shop.path(name)).unwrap();
            assert!(!encoder.has_head);
            let parameters = cloze::tasks::parameters(&cloze::tasks::MaskedLm::new(&encoder.config));
            for ((parameter, whole), encoder) in parameters.iter().zip(whole.values()).zip(encoder.values()) {
                let head = parameter.name.starts_with("head.") || parameter.name.starts_with("decoder.");
                assert_eq!(whole == encoder, !head, "{name}: {}", parameter.name);
            }
            let again = SavedModel::open(&shop.path(name)).unwrap();
            assert!(again.values() == encoder.values(), "the fresh head is not always the same");

            let filled = shop.done(&format!("fill-mask {name} --device cpu"), &["a [MASK] b"]);
            assert!(filled.stderr.contains("without a masked-language-model head"), "{}", filled.stderr);
        }
    }
}

#[test]
fn half_a_head_is_an_error() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    let path = shop.path("bert").join("model.safetensors");
    let mut tensors = read_tensors(&path);
    tensors.retain(|tensor| tensor.name != "cls.predictions.transform.dense.weight");
    write_tensors(&path, &tensors);
    let message = SavedModel::open(&shop.path("bert")).err().expect("half a head").to_string();
    assert!(message.contains("has no tensor `cls.predictions.transform.dense.weight`"), "{message}");
}
