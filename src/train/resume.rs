//! Resuming from a checkpoint: checks that the config fits it, and puts the saved state back on the device.

use super::program::Training;
use super::saving;
use crate::checkpoint::saved::{CONFIG, MODEL, MOMENTS, OPTIMIZER};
use crate::checkpoint::{Checkpoint, CheckpointStore, DataSeen, TrainingState};
use crate::config::{Config, MicroBatch};
use crate::exec::Executor;
use crate::hf::write::Source;
use crate::hf::{self, folder};
use crate::kernels::Params;
use crate::kernels::gradient_norm::OptimizerState;
use crate::model::{Kind, ModelConfig, weights};
use crate::tasks::Task;
use crate::{Error, Remedy, Result};
use std::path::Path;

/// A change of the learning rate by more than this share is worth a warning.
const NOTABLE_JUMP: f64 = 0.1;

/// Keys of `[model]` that a resume may change, since the parameters mean the same with any values of these.
const FREE: [&str; 6] =
    ["recipe", "dropout", "attention_dropout", "initializer_range", "scaled_output_init", "mimetic_init"];

/// The checkpoint that a resume continues from. A resume never starts over by itself.
///
/// # Errors
/// There is no checkpoint, none is whole, or one that is needed can't be read now.
pub(super) fn newest(store: &CheckpointStore, run: &Path) -> Result<Checkpoint> {
    if let Some(checkpoint) = store.latest_valid()? {
        return Ok(checkpoint);
    }
    Err(match store.is_empty()? {
        true => Error::file(run, "has no checkpoint to go on from").with(Remedy::BeginAnew),
        false => Error::file(run, "has no checkpoint that is whole; put one back").with(Remedy::AnotherRun),
    })
}

/// Refuses a config with which the checkpoint's training cannot continue. Changes nothing.
///
/// # Errors
/// The config has another seed, optimiser, task or model than the run began with; or a file is damaged.
pub(super) fn check(checkpoint: &Checkpoint, config: &Config) -> Result<()> {
    let state = checkpoint.state();
    if state.seed != config.seed {
        return Err(another("seed", config.seed, state.seed));
    }
    if state.optimizer != config.train.optimizer {
        return Err(another("train.optimizer", config.train.optimizer, state.optimizer));
    }
    let (path, json) = (checkpoint.path().join(CONFIG), checkpoint.read(CONFIG)?);
    let began = folder::read_task(&path, &json)?;
    if began != config.task.kind {
        return Err(another("task.kind", config.task.kind, began));
    }
    let (_, saved) = folder::read_config(&path, &json)?;
    check_model(&saved, &config.model(saved.vocab_size))?;
    if state.config_digest != config.digest() {
        log::warn!("the config differs from the one that {} was trained with", checkpoint.path().display());
    }
    Ok(())
}

/// Refuses data that has replaced what the checkpoint was trained on in the same place. If the config names another folder,
/// that is taken as intended, and only logged.
///
/// # Errors
/// The place is the same, but the data is not.
pub(super) fn check_data(checkpoint: &Checkpoint, now: &DataSeen) -> Result<()> {
    let began = &checkpoint.state().data;
    if began.digest.is_empty() || began.digest == now.digest {
        return Ok(());
    }
    match (&now.folder, began.folder == now.folder) {
        (Some(folder), true) => {
            let problem = format!(
                "{} holds other data than the run was trained on; put that back, or rename the folder to go on with other \
                 data on purpose",
                folder.display()
            );
            Err(Error::config("data.prepared", problem).with(Remedy::AnotherRun))
        }
        (None, true) => {
            let problem = "made other data than the run was trained on; put the text back as it was, and remove the folder \
                           `data` of the run";
            Err(Error::config("data.train", problem).with(Remedy::AnotherRun))
        }
        (_, false) => {
            log::warn!("the run goes on with other data than it was trained on so far");
            Ok(())
        }
    }
}

/// The microbatch that a run with "auto" began with. A resume keeps it, since another would change the order of sums.
///
/// # Errors
/// It no longer divides the config's batch.
pub(super) fn micro_batch(checkpoint: &Checkpoint, config: &Config) -> Result<MicroBatch> {
    let (began, batch) = (checkpoint.state().micro_batch, config.train.batch_size);
    match began {
        0 => Ok(MicroBatch::Auto),
        began if batch.is_multiple_of(began) => Ok(MicroBatch::Sequences(began)),
        began => {
            let problem = format!("began as {began}, which does not divide train.batch_size = {batch}; give a number");
            Err(Error::config("train.micro_batch", problem))
        }
    }
}

/// Warns if the learning rate jumps where the training continues after `step` steps, because the settings that the run has had
/// until now, in the file `kept`, gave another one. For example, the rate rises again if a finished run is given more steps.
pub(super) fn warn_of_jump(kept: &Path, config: &Config, step: u64) {
    // Settings that can't be read, such as those of an older version, are ignored: they only serve to compare.
    let Ok(old) = Config::load(kept, &[]) else { return };
    let (before, after) = match step.checked_sub(1) {
        Some(last) if step >= old.train.steps => {
            (old.train.learning_rates().at(last), config.train.learning_rates().at(step))
        }
        _ => (old.train.learning_rates().at(step), config.train.learning_rates().at(step)),
    };
    if step >= config.train.steps || (after - before).abs() <= NOTABLE_JUMP * before {
        return;
    }
    let steps = match (old.train.steps, config.train.steps) {
        (old, new) if old != new => format!("train.steps is {new}, and was {old}"),
        _ => "keys of [train] have changed".to_string(),
    };
    log::warn!(
        "the learning rate goes from {before:.2e} to {after:.2e} at step {}, since {steps}; to go on without a jump, set \
         train.learning_rate and train.schedule = \"constant\"",
        step + 1
    );
}

fn check_model(saved: &ModelConfig, wanted: &ModelConfig) -> Result<()> {
    match wanted.first_difference(saved, &FREE) {
        Some((key, value, began)) => Err(another(&format!("model.{key}"), value, began)),
        None => Ok(()),
    }
}

fn another(key: &str, value: impl std::fmt::Display, began: impl std::fmt::Display) -> Error {
    let problem = format!("is {value}, and the run began with {began}; set it back");
    Error::config(key, problem).with(Remedy::AnotherRun)
}

/// Writes a checkpoint's weights and moments to the device, and returns the state that was saved.
///
/// # Errors
/// A file is damaged, or is not of this model.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    task: &dyn Task,
    training: &Training,
    executor: &mut dyn Executor,
) -> Result<TrainingState> {
    let parameters = &training.parameters;
    let (moments, path) = (saving::moments(parameters), checkpoint.path().join(MOMENTS));
    weights::read(checkpoint.open_file(MOMENTS)?, &path, &moments.entries, |place, first, values| {
        let (kind, number) = moments.sources[place];
        parameters.write_part(executor, kind, number, first, values);
    })?;
    let (layout, path) = (hf::write::layout(task), checkpoint.path().join(MODEL));
    weights::read(checkpoint.open_file(MODEL)?, &path, &saving::entries(&layout), |place, first, values| {
        if let Source::Parameter { number, start } = layout[place].source {
            parameters.write_part(executor, Kind::Value, number, start + first, values);
        }
    })?;
    parameters.write_copies(executor)?;
    let bytes = checkpoint.read(OPTIMIZER)?;
    let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    if words.len() * 4 != std::mem::size_of::<OptimizerState>() {
        return Err(Error::file(checkpoint.path().join(OPTIMIZER), "is not as long as an optimiser's state"));
    }
    training.write_state(executor, *OptimizerState::from_words(&words));
    Ok(checkpoint.state().clone())
}
