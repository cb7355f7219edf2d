//! Checkpoints: folders `step-000123`, which are whole or not there at all.
//!
//! A checkpoint holds files (the store does not care which) and `manifest.json`, which has their sizes and BLAKE3 hashes and
//! the state of training. `manifest.json.blake3` protects the manifest itself, in the format that `b3sum --check` reads. A
//! checkpoint is written under another name, and renamed once all of it is on the disk.

mod choice;
mod manifest;
pub mod saved;
mod store;
mod writer;

pub use choice::{Choice, with_model};
pub use manifest::{Checkpoint, DataSeen, TrainingState};
pub use store::CheckpointStore;
pub use writer::{CheckpointWriter, HashingWriter};

pub use saved::SavedModel;

pub(crate) use choice::has_manifest;
pub(crate) use store::has_checkpoints;
