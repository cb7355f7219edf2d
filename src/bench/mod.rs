//! How fast this machine does what Cloze does: whole training steps (`cloze bench train`), and kernels one by
//! one (`cloze bench`). `emit` writes kernels out for compilers without a device.

pub mod emit;
pub mod kernels;
pub mod shape;
pub mod timing;
pub mod training;

pub use timing::Timing;
pub use training::{StepReport, TrainingBench};
