//! The `checkpoints` folder of a run: saving, pruning, and finding the checkpoint to go on from.

use super::manifest::{self, Checkpoint, TrainingState, is_damage};
use super::writer::CheckpointWriter;
use crate::{Error, Result, files};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Prefix of a folder that is being written or removed. After a kill, such a folder is worthless.
const UNFINISHED: &str = ".tmp-";
/// Prefix of a checkpoint that is being replaced by another of the same step.
const REPLACED: &str = ".old-";

/// The checkpoints of a run that is training. Only one process at a time may hold it: see [`crate::train::RunDir`].
pub struct CheckpointStore {
    folder: PathBuf,
    keep: usize,
    keep_best: bool,
}

impl CheckpointStore {
    /// Opens or creates the folder, and removes what a killed run left unfinished. The store keeps the last `keep`
    /// checkpoints and, with `keep_best`, also the one with the lowest validation loss.
    ///
    /// # Errors
    /// The folder cannot be made, read or cleared.
    pub fn new(folder: &Path, keep: usize, keep_best: bool) -> Result<CheckpointStore> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        recover(folder)?;
        Ok(CheckpointStore { folder: folder.to_path_buf(), keep, keep_best })
    }

    /// Saves the checkpoint of `state.step`, in place of one that is already there, and removes checkpoints that are no
    /// longer to be kept. `files` writes its content. Returns its folder.
    ///
    /// # Errors
    /// The disk refuses or is full, or `files` fails. Earlier checkpoints are then unchanged.
    pub fn save(
        &self,
        state: &TrainingState,
        files: impl FnOnce(&mut CheckpointWriter) -> Result<()>,
    ) -> Result<PathBuf> {
        let name = name_of(state.step);
        let (path, unfinished) = (self.folder.join(&name), self.folder.join(format!("{UNFINISHED}{name}")));
        remove(&unfinished)?;
        fs::create_dir(&unfinished).map_err(Error::io(&unfinished))?;
        let mut writer = CheckpointWriter::new(&unfinished);
        let written = files(&mut writer).and_then(|()| manifest::write(&unfinished, state, writer.entries()));
        if let Err(error) = written {
            // The first error says more than one from cleaning up.
            let _ = remove(&unfinished);
            return Err(error);
        }
        let replaced = self.folder.join(format!("{REPLACED}{name}"));
        if path.exists() {
            fs::rename(&path, &replaced).map_err(Error::io(&path))?;
        }
        fs::rename(&unfinished, &path).map_err(Error::io(&path))?;
        files::sync_folder(&self.folder)?;
        if let Err(error) = remove(&replaced).and_then(|()| self.prune(state.step)) {
            log::warn!("an old checkpoint could not be removed: {error}");
        }
        Ok(path)
    }

    /// The newest whole checkpoint. Damaged ones are named in the log and skipped.
    ///
    /// # Errors
    /// The folder or a checkpoint cannot be read, for a reason other than damage.
    pub fn latest_valid(&self) -> Result<Option<Checkpoint>> {
        latest_valid(&self.folder)
    }

    /// Whether there is no checkpoint, not even a damaged one.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(list(&self.folder)?.is_empty())
    }

    /// Leaves alone checkpoints without a readable manifest, and those of later steps than `saved`. A resume would have used
    /// the latter if they were not damaged, and damaged checkpoints must not displace good ones.
    fn prune(&self, saved: u64) -> Result<()> {
        let mut checkpoints = Vec::new();
        for (step, path) in list(&self.folder)?.into_iter().filter(|(step, _)| *step <= saved) {
            checkpoints.extend(open(step, &path).ok());
        }
        let mut kept: BTreeSet<u64> = checkpoints.iter().rev().take(self.keep).map(|c| c.state().step).collect();
        if self.keep_best {
            let validated = checkpoints.iter().filter(|checkpoint| checkpoint.state().validation_loss.is_some());
            kept.extend(validated.min_by(|a, b| lower_loss(a, b)).map(|best| best.state().step));
        }
        for checkpoint in checkpoints.iter().filter(|checkpoint| !kept.contains(&checkpoint.state().step)) {
            let gone = self.folder.join(format!("{UNFINISHED}{}", name_of(checkpoint.state().step)));
            fs::rename(checkpoint.path(), &gone).map_err(Error::io(checkpoint.path()))?;
            remove(&gone)?;
        }
        Ok(())
    }
}

/// Whether a run has left checkpoints here, whole or not.
pub(crate) fn has_checkpoints(folder: &Path) -> Result<bool> {
    let is_checkpoint = |name: &String| step_of(name.strip_prefix(REPLACED).unwrap_or(name)).is_some();
    match folder.try_exists().map_err(Error::io(folder))? {
        true => Ok(names(folder)?.iter().any(is_checkpoint)),
        false => Ok(false),
    }
}

/// The newest whole checkpoint. Damaged ones are named in the log and skipped.
///
/// # Errors
/// The folder or a checkpoint cannot be read, for a reason other than damage.
pub(super) fn latest_valid(folder: &Path) -> Result<Option<Checkpoint>> {
    for (step, path) in list(folder)?.into_iter().rev() {
        match open(step, &path).and_then(|checkpoint| checkpoint.verify().map(|()| checkpoint)) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => pass_over(&path, error)?,
        }
    }
    Ok(None)
}

/// The checkpoints of a run whose manifests are whole, by ascending step. Damaged ones are named in the log and skipped.
///
/// # Errors
/// As `latest_valid`.
pub(super) fn opened(folder: &Path) -> Result<Vec<Checkpoint>> {
    let mut checkpoints = Vec::new();
    for (step, path) in list(folder)? {
        match open(step, &path) {
            Ok(checkpoint) => checkpoints.push(checkpoint),
            Err(error) => pass_over(&path, error)?,
        }
    }
    Ok(checkpoints)
}

/// Takes the last whole checkpoint from the list, together with those after it.
///
/// # Errors
/// As `latest_valid`.
pub(super) fn pop_whole(checkpoints: &mut Vec<Checkpoint>) -> Result<Option<Checkpoint>> {
    while let Some(checkpoint) = checkpoints.pop() {
        match checkpoint.verify() {
            Ok(()) => return Ok(Some(checkpoint)),
            Err(error) => pass_over(checkpoint.path(), error)?,
        }
    }
    Ok(None)
}

/// The whole checkpoint with the lowest validation loss, if any was validated; of equals, the earliest.
///
/// # Errors
/// As `latest_valid`.
pub(super) fn best_of(mut checkpoints: Vec<Checkpoint>) -> Result<Option<Checkpoint>> {
    checkpoints.retain(|checkpoint| checkpoint.state().validation_loss.is_some());
    checkpoints.reverse();
    checkpoints.sort_by(|a, b| lower_loss(b, a));
    pop_whole(&mut checkpoints)
}

/// Warns that a damaged checkpoint is skipped. One that no longer exists was removed by a running training, which keeps newer
/// ones.
///
/// # Errors
/// It is not damaged, but can't be read now, or not by this version.
fn pass_over(path: &Path, error: Error) -> Result<()> {
    if matches!(error, Error::Version { .. }) {
        return Err(error);
    }
    if !is_damage(&error) {
        let problem = format!(
            "cannot be read now, which is no damage ({error}); nothing was changed: try again, or \
             remove the folder to go on from the checkpoint before it"
        );
        return Err(Error::file(path, problem));
    }
    if path.exists() {
        log::warn!("passing over a damaged checkpoint: {error}");
    }
    Ok(())
}

/// Orders by validation loss, ascending; those without one come last.
pub(super) fn lower_loss(a: &Checkpoint, b: &Checkpoint) -> Ordering {
    let loss = |checkpoint: &Checkpoint| checkpoint.state().validation_loss.unwrap_or(f64::INFINITY);
    loss(a).total_cmp(&loss(b))
}

fn open(step: u64, path: &Path) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::open(path)?;
    match checkpoint.state().step {
        found if found == step => Ok(checkpoint),
        found => Err(Error::file(path, format!("is damaged: its manifest is of step {found}"))),
    }
}

/// Undoes or finishes what a killed process was doing.
fn recover(folder: &Path) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(&name);
        if name.starts_with(UNFINISHED) {
            remove(&path)?;
        } else if let Some(original) = name.strip_prefix(REPLACED) {
            let original = folder.join(original);
            if original.exists() {
                remove(&path)?;
            } else {
                fs::rename(&path, &original).map_err(Error::io(&path))?;
            }
        }
    }
    Ok(())
}

/// Removes a folder with all in it, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

/// The checkpoints by step, ascending, whole or not.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> =
        names(folder)?.into_iter().filter_map(|name| Some((step_of(&name)?, folder.join(name)))).collect();
    found.sort();
    Ok(found)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

fn name_of(step: u64) -> String {
    format!("step-{step:06}")
}

fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (name_of(step) == name).then_some(step)
}

#[cfg(test)]
mod tests;
