//! Cloze trains masked language models (BERT, RoBERTa, ModernBERT and their like) with WGSL compute shaders on any GPU
//! that wgpu reaches, and with native Rust code on a machine that has none.

pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod collective;
pub mod config;
pub mod data;
pub mod device;
pub mod doctor;
pub mod error;
pub mod exec;
pub mod files;
pub mod hf;
pub mod kernels;
pub mod model;
pub mod optim;
pub mod random;
pub mod settings;
pub mod tasks;
pub mod train;

pub use error::{Error, Remedy, Result};
