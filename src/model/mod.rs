//! The encoder: its parameters, and its forward and backward pass as launches.
//!
//! Begin with `encoder.rs` and `layer.rs`. `attention.rs` and `mlp.rs` are the blocks of a layer, and `recorder.rs` has the
//! operations that all of them are written in. What a model is trained to do is in `tasks/`.

pub mod architecture;
mod attention;
mod bounds;
pub mod config;
pub mod embedder;
pub mod encoder;
pub mod inference;
pub mod init;
pub mod inputs;
mod layer;
mod mlp;
pub mod parameters;
pub mod recipe;
pub mod recompute;
pub mod recorder;
pub mod row_set;
pub mod weights;

pub use config::{Activation, ModelConfig, NormPlacement, Positions};
pub use embedder::{Embedder, Pooling};
pub use inference::{Forward, Inference};
pub use inputs::{Contents, Inputs, Microbatch, Shape};
pub use parameters::{Kind, Parameters};
pub use recipe::Recipe;
pub use recompute::Recompute;
pub use row_set::RowSet;
