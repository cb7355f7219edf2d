//! The formats of Hugging Face transformers: reads and writes BERT, RoBERTa and ModernBERT models.
//!
//! `family.rs` says which family computes a config, and `names.rs` which of its tensors hold which of our parameters.
//! For reading: `folder.rs` with `config.rs` and `unsupported.rs`, `tensors.rs` and `values.rs`, `tokenizer.rs`.
//! `sentence_transformers.rs` reads how text embeddings are made.
//! For writing: `write.rs` for the contents, `save.rs` for the folder, `weights_dtype.rs` for the number format.

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
