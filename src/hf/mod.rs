//! The formats of Hugging Face transformers: BERT, RoBERTa and ModernBERT models in and out.
//!
//! `names.rs` says which of their tensors holds which of ours, `config.rs` turns one `config.json` into the other,
//! `tensors.rs` and `values.rs` read the weights, `folder.rs` reads a model's folder and `write.rs` makes one.

pub mod config;
pub mod folder;
pub mod names;
pub mod tensors;
pub mod values;
pub mod write;

pub use config::Family;
pub use folder::HfModel;
