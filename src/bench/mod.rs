//! Measures how fast this machine is: whole training steps (`cloze bench train`), and kernels one by one (`cloze bench`).
//! `emit` writes kernels into files, for offline compilers.

pub mod emit;
pub mod kernels;
pub mod shape;
pub mod timing;
pub mod training;

pub use timing::Timing;
pub use training::{StepReport, TrainingBench};
