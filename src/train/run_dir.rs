//! The folder of a run: `run.json`, `config.toml`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`, and a lock that keeps a
//! second training out.

use crate::checkpoint::has_checkpoints;
use crate::config::{Config, run_format};
use crate::files::{self, Lock};
use crate::{Error, Remedy, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CONFIG: &str = "config.toml";

/// A run's folder, which is locked as long as this or a clone exists.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: Arc<Lock>,
}

impl RunDir {
    /// Makes the folder of a new run, or with `resume` opens that of an earlier run, and locks it.
    ///
    /// # Errors
    /// A new run would overwrite checkpoints; there is no run to resume; another training holds the folder; the disk
    /// refuses; a later version of Cloze wrote what is there.
    pub fn create(path: &Path, resume: bool) -> Result<RunDir> {
        if resume && !path.join(CONFIG).is_file() {
            return Err(Error::file(path, "holds no run to resume").with(Remedy::BeginAnew));
        }
        run_format::check(path)?;
        std::fs::create_dir_all(path).map_err(Error::io(path))?;
        let run = RunDir { path: path.to_path_buf(), _lock: Arc::new(lock(path)?) };
        if !resume && has_checkpoints(&run.checkpoints())? {
            return Err(
                Error::file(path, "holds the checkpoints of an earlier run").with(Remedy::ResumeOrAnotherFolder)
            );
        }
        Ok(run)
    }

    /// Writes `config.toml`, and `run.json` with the version of what is written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        run_format::write(&self.path)?;
        files::replace(&self.config(), config.to_toml().as_bytes())
    }

    /// The file with every setting of the run, which [`Config::load`] reads.
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of [`crate::checkpoint::CheckpointStore`].
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The file of [`super::MetricsLog`].
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The folder of [`super::sinks::TensorBoard`].
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }
}

fn lock(folder: &Path) -> Result<Lock> {
    Lock::take(&folder.join("lock"))?.ok_or_else(|| {
        Error::file(folder, "another training is writing here; wait for it to end").with(Remedy::AnotherFolder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CheckpointStore, TrainingState};

    fn config(folder: &Path) -> Config {
        let path = folder.join("run.toml");
        let text = "data.train = ['a.txt']
            train = { steps = 10, learning_rate = 1e-3 }
            model = { layers = 1, hidden_size = 64, heads = 1 }";
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &[]).unwrap()
    }

    #[test]
    fn the_config_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let run = RunDir::create(&dir.path().join("runs/a"), false).unwrap();
        run.write_config(&config).unwrap();
        assert_eq!(Config::load(&run.path().join("config.toml"), &[]).unwrap(), config);
    }

    #[test]
    fn the_run_of_a_later_version_is_refused_and_one_without_a_number_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let path = dir.path().join("runs/a");
        RunDir::create(&path, false).unwrap().write_config(&config).unwrap();
        let file = path.join("run.json");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"version\":1}\n");
        std::fs::write(&file, "{\"version\": 2, \"more\": []}").unwrap();
        let problem = format!(
            "{}: is of version 2 of its format, and the newest that this Cloze reads is 1; take the Cloze that wrote it, or a \
             later one",
            file.display()
        );
        for resume in [true, false] {
            assert_eq!(RunDir::create(&path, resume).unwrap_err().to_string(), problem);
        }
        // The version is checked before the keys, some of which this version may not know.
        assert_eq!(Config::load(&path.join("config.toml"), &[]).unwrap_err().to_string(), problem);
        std::fs::write(&file, "{").unwrap();
        assert!(RunDir::create(&path, true).unwrap_err().to_string().contains("run.json: is damaged"));

        std::fs::remove_file(&file).unwrap();
        let run = RunDir::create(&path, true).unwrap();
        assert_eq!(Config::load(&run.config(), &[]).unwrap(), config);
        run.write_config(&config).unwrap();
        assert!(file.exists());
    }

    #[test]
    fn two_trainings_never_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::create(dir.path(), false).unwrap();
        let message = RunDir::create(dir.path(), false).unwrap_err().to_string();
        assert!(message.contains("another training is writing here"), "{message}");
        drop(first);
        RunDir::create(dir.path(), false).unwrap();
    }

    #[test]
    fn checkpoints_are_never_overwritten_by_a_new_run() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path(), false).unwrap();
        run.write_config(&config(dir.path())).unwrap();
        let store = CheckpointStore::new(&run.checkpoints(), 1, false).unwrap();
        drop(run);
        // A run that was killed before its first checkpoint may simply be started again.
        drop(RunDir::create(dir.path(), false).unwrap());

        store.save(&TrainingState::default(), |_| Ok(())).unwrap();
        let error = RunDir::create(dir.path(), false).unwrap_err();
        assert_eq!(error.remedy(), Some(Remedy::ResumeOrAnotherFolder), "{error}");
        RunDir::create(dir.path(), true).unwrap();
    }

    #[test]
    fn a_resume_needs_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mistyped");
        let message = RunDir::create(&path, true).unwrap_err().to_string();
        assert!(message.contains("holds no run to resume"), "{message}");
        assert!(!path.exists());
    }
}
