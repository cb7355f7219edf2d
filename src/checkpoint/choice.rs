//! Which checkpoint of a run is its model.

use super::manifest::{Checkpoint, MANIFEST};
use super::store::{best_of, lower_loss, opened, pop_whole};
use crate::{Error, Result};
use std::fmt;
use std::path::Path;

/// How often a checkpoint is chosen again because a running training removed it before it was read.
const MOST_TRIES: usize = 10;

/// The checkpoint that was chosen as a run's model, and why.
pub struct Choice {
    pub checkpoint: Checkpoint,
    reason: Reason,
}

enum Reason {
    /// The folder of the checkpoint itself was given.
    Named,
    /// Its validation loss is the run's lowest.
    Best,
    /// It is the newest, and there was no validation after the best one.
    Newest,
}

impl Choice {
    /// Says in the log which checkpoint of a run was taken.
    pub fn announce(&self) {
        if !matches!(self.reason, Reason::Named) {
            log::info!("model: {self}");
        }
    }
}

impl fmt::Display for Choice {
    /// `runs/tiny/checkpoints/step-000500, the best of the run (validation loss 2.4153)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.checkpoint.path().display())?;
        match (&self.reason, self.checkpoint.state().validation_loss) {
            (Reason::Named, _) => Ok(()),
            (Reason::Best, Some(loss)) => write!(f, ", the best of the run (validation loss {loss:.4})"),
            (Reason::Best, None) | (Reason::Newest, _) => write!(f, ", the newest of the run, not validated yet"),
        }
    }
}

/// Calls `read` with the model that a path stands for: a checkpoint's folder itself or, for a run, its best checkpoint. The
/// run's newest checkpoint is used instead if none was validated, or if training continued after the best one without another
/// validation: the newest is then likely to be better. Nothing on the disk is changed, so that this is safe during training.
/// If training removes the checkpoint meanwhile, another is chosen.
///
/// # Errors
/// `path` is neither a run nor a checkpoint; the run has no whole checkpoint, or one that can't be read now; `read` fails.
pub fn with_model<T>(path: &Path, read: impl Fn(&Choice) -> Result<T>) -> Result<T> {
    for _ in 1..MOST_TRIES {
        let choice = choose(path)?;
        match read(&choice) {
            Err(_) if !choice.checkpoint.path().exists() => {}
            result => return result,
        }
    }
    read(&choose(path)?)
}

fn choose(path: &Path) -> Result<Choice> {
    if has_manifest(path) {
        return Ok(Choice { checkpoint: Checkpoint::open(path)?, reason: Reason::Named });
    }
    let folder = path.join("checkpoints");
    if !folder.is_dir() {
        let is = if path.exists() { "is neither a run nor a checkpoint" } else { "does not exist" };
        let problem =
            format!("{is}; give the folder of a run, such as runs/tiny, or one of its checkpoints/step-000500");
        return Err(Error::file(path, problem));
    }
    let mut earlier = opened(&folder)?;
    let Some(newest) = pop_whole(&mut earlier)? else {
        return Err(Error::file(path, "has no whole checkpoint yet; let its training reach the first one"));
    };
    earlier.retain(|checkpoint| lower_loss(checkpoint, &newest).is_le());
    Ok(match best_of(earlier)? {
        Some(best) if counts(&best, &newest) => Choice { checkpoint: best, reason: Reason::Best },
        None if newest.state().validation_loss.is_some() => Choice { checkpoint: newest, reason: Reason::Best },
        _ => Choice { checkpoint: newest, reason: Reason::Newest },
    })
}

/// Whether the best checkpoint is known to be better than the newest, because the newest or one in between was validated.
fn counts(best: &Checkpoint, newest: &Checkpoint) -> bool {
    let (best, newest) = (best.state(), newest.state());
    newest.validation_loss.is_some() || newest.validated_step.is_some_and(|validated| validated > best.step)
}

/// Whether a folder is a checkpoint, whole or not.
pub(crate) fn has_manifest(path: &Path) -> bool {
    path.join(MANIFEST).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CheckpointStore, TrainingState};

    /// A run with checkpoints of these steps, validation losses, and steps of the last validation.
    fn run(checkpoints: &[(u64, Option<f64>, Option<u64>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(&dir.path().join("checkpoints"), 9, true).unwrap();
        for &(step, validation_loss, validated_step) in checkpoints {
            let state = TrainingState { step, validation_loss, validated_step, ..Default::default() };
            store.save(&state, |_| Ok(())).unwrap();
        }
        dir
    }

    fn chosen(checkpoints: &[(u64, Option<f64>, Option<u64>)]) -> (u64, String) {
        let dir = run(checkpoints);
        with_model(dir.path(), |choice| Ok((choice.checkpoint.state().step, choice.to_string()))).unwrap()
    }

    #[test]
    fn the_best_is_taken_and_never_one_that_training_has_left_behind() {
        let (step, said) = chosen(&[(1, Some(3.0), Some(1)), (2, Some(2.0), Some(2)), (3, Some(2.5), Some(3))]);
        assert!(step == 2 && said.ends_with("step-000002, the best of the run (validation loss 2.0000)"), "{said}");
        let (step, said) = chosen(&[(1, Some(3.0), Some(1)), (9, None, Some(1))]);
        assert!(step == 9 && said.ends_with("step-000009, the newest of the run, not validated yet"), "{said}");
        // The validation of step 5 was worse than that of step 1, so the newest is not taken.
        assert_eq!(chosen(&[(1, Some(3.0), Some(1)), (9, None, Some(5))]).0, 1);
        assert_eq!(chosen(&[(4, None, None)]).0, 4);
    }

    #[test]
    fn a_checkpoint_that_is_removed_meanwhile_is_looked_for_again() {
        let dir = run(&[(1, None, None), (2, None, None)]);
        let read = |choice: &Choice| {
            if choice.checkpoint.state().step == 2 {
                std::fs::remove_dir_all(choice.checkpoint.path()).unwrap();
                return Err(Error::file(choice.checkpoint.path(), "is gone"));
            }
            Ok(choice.checkpoint.state().step)
        };
        assert_eq!(with_model(dir.path(), read).unwrap(), 1);
    }

    #[test]
    fn what_is_no_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let message = |name: &str| with_model(&dir.path().join(name), |_| Ok(())).unwrap_err().to_string();
        assert!(message("").contains("is neither a run nor a checkpoint"), "{}", message(""));
        assert!(message("x").contains("does not exist"), "{}", message("x"));
        std::fs::create_dir(dir.path().join("checkpoints")).unwrap();
        assert!(message("").contains("no whole checkpoint yet"), "{}", message(""));
    }
}
