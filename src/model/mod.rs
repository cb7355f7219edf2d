//! The model: its parameters, and its forward and backward pass as programs.
//!
//! `encoder.rs`, `layer.rs` and `head.rs` are the pages to read; `attention.rs` and `mlp.rs` are a layer's blocks, `recorder.rs`
//! has what all are written in, `programs.rs` and `inference.rs` put them together.

pub mod architecture;
mod attention;
mod bounds;
pub mod config;
pub mod embedder;
pub mod encoder;
pub mod filler;
pub mod head;
pub mod inference;
pub mod init;
pub mod inputs;
pub mod kept;
mod layer;
mod mlp;
pub mod parameters;
pub mod programs;
pub mod recipe;
pub mod recompute;
pub mod recorder;
pub mod weights;

pub use config::{Activation, ModelConfig, NormPlacement, Positions};
pub use embedder::{Embedder, Pooling};
pub use filler::{Filler, Guess};
pub use inference::Inference;
pub use inputs::{Inputs, Shape};
pub use kept::Kept;
pub use parameters::{Kind, Parameters};
pub use programs::{Measured, OptimizerConfig, Training};
pub use recipe::Recipe;
pub use recompute::Recompute;
