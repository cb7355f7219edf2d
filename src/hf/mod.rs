//! The formats of Hugging Face transformers: BERT, RoBERTa and ModernBERT models in and out.
//!
//! `family.rs` says which family computes a config, and `names.rs` which of its tensors holds which parameter of ours.
//! In: `folder.rs` with `config.rs` and `unsupported.rs`, `tensors.rs` and `values.rs`, `tokenizer.rs`.
//! `sentence_transformers.rs` says how the vectors of texts are made.
//! Out: `write.rs` for the contents, `save.rs` for the folder, `precision.rs` for its numbers.

pub mod config;
pub mod family;
pub mod folder;
pub mod names;
pub mod save;
mod sentence_transformers;
pub mod tensors;
mod tokenizer;
mod unsupported;
pub mod values;
pub mod weights_dtype;
pub mod write;

pub use family::Family;
pub use folder::HfModel;
pub use sentence_transformers::SentenceModel;
pub use weights_dtype::WeightsDtype;
