//! Training: the loop, and all around it, from reading text to saving checkpoints and recovering from a lost device.

mod divergence;
pub mod evaluate;
mod histogram;
pub mod interrupt;
pub mod metrics;
mod pending;
pub mod planning;
mod profiling;
pub mod program;
pub mod pseudo_likelihood;
pub mod recovery;
mod resume;
mod run_dir;
mod saving;
pub mod sinks;
pub mod sources;
mod text;
mod throughput;
pub mod trainer;

pub use histogram::{Bucket, Histogram};
pub use metrics::{Metrics, Validation};
pub use program::{Training, TrainingOptions};
pub use pseudo_likelihood::PseudoLikelihood;
pub use recovery::Recovery;
pub use run_dir::RunDir;
pub use sinks::{MetricsLog, Sink, Sinks};
pub use throughput::Throughput;
pub use trainer::{Outcome, Trainer};
