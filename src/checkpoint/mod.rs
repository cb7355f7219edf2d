//! Checkpoints: folders `step-000123` that are whole or not there.
//!
//! A checkpoint holds files (the store does not care which) and `manifest.json`, which lists their sizes and BLAKE3
//! hashes beside the state of training. `manifest.json.blake3` guards the manifest itself, in the form that
//! `b3sum --check` reads. A checkpoint is written under another name and renamed when the disk has all of it.

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
