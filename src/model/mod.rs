//! The model: its parameters, and its forward and backward pass as programs.
//!
//! `encoder.rs` and `head.rs` are the pages to read; `recorder.rs` has the layers they are written in, `programs.rs` puts
//! them together.

pub mod architecture;
pub mod embedder;
pub mod encoder;
pub mod filler;
pub mod head;
pub mod init;
pub mod inputs;
pub mod parameters;
pub mod programs;
pub mod recorder;
pub mod weights;

pub use embedder::{Embedder, Pooling};
pub use filler::{Filler, Guess};
pub use inputs::{Inputs, Shape};
pub use parameters::{Kind, Parameters};
pub use programs::{Inference, Measured, OptimizerConfig, Training};
