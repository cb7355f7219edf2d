//! `metrics.jsonl`: one line per step or validation, in the order of steps.

use super::Sink;
use crate::files::{self, Replacement};
use crate::train::{Metrics, Validation};
use crate::{Error, Result};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::ops::Bound::{Excluded, Included};
use std::path::{Path, PathBuf};

/// The open `metrics.jsonl` of a run.
///
/// When a resume repeats steps, their old lines move to `metrics.superseded.jsonl`. They stay there until a checkpoint of a
/// step as late is saved. If instead a later checkpoint turns out to be readable after all, they come back.
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    superseded: Superseded,
}

/// The lines of steps that are repeated: their file, and the last of these steps.
struct Superseded {
    path: PathBuf,
    last_step: Option<u64>,
}

#[derive(Serialize)]
struct ValidationLine<'a> {
    step: u64,
    validation: &'a Validation,
}

#[derive(Deserialize)]
struct AnyLine {
    step: u64,
    #[serde(default)]
    validation: Option<IgnoredAny>,
}

impl MetricsLog {
    /// Opens the log of a run that continues after `step` steps (0 for a new run). Lines of later steps, which will be
    /// repeated, are moved away, and a line that a killed run left unfinished is dropped.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<MetricsLog> {
        let superseded = path.with_extension("superseded.jsonl");
        let mut later = BTreeMap::new();
        each_line(&superseded, |key, text| {
            later.insert(key, text.to_vec());
            Ok(())
        })?;
        let (mut kept, mut last) = (BufWriter::new(Replacement::new(path)?), Key::default());
        each_line(path, |key, text| {
            if key.step > step {
                later.insert(key, text.to_vec());
                return Ok(());
            }
            last = key;
            kept.write_all(text).map_err(Error::io(path))
        })?;
        // Lines that come back with a checkpoint that can be read after all.
        for (_, text) in later.range((Excluded(last), Included(Key { step, validation: true }))) {
            kept.write_all(text).map_err(Error::io(path))?;
        }
        later.retain(|key, _| key.step > step);
        let last_step = later.keys().next_back().map(|key| key.step);
        // The files are written in this order, so that a kill in between leaves every line in one of them or in both.
        if last_step.is_some() {
            files::replace(&superseded, &later.into_values().flatten().collect::<Vec<u8>>())?;
        }
        kept.into_inner().map_err(|error| Error::io(path)(error.into_error()))?.commit()?;
        let superseded = Superseded { path: superseded, last_step };
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        let log = MetricsLog { path: path.to_path_buf(), file, superseded };
        log.forget_until(step)?;
        Ok(log)
    }

    /// Removes the superseded lines once a checkpoint of `step` is saved that is as late as the last of them.
    fn forget_until(&self, step: u64) -> Result<()> {
        let path = &self.superseded.path;
        if self.superseded.last_step.is_some_and(|last| last > step) {
            return Ok(());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path)(error)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line).expect("a struct of numbers is always JSON");
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(Error::io(&self.path))
    }
}

impl Sink for MetricsLog {
    fn step(&mut self, metrics: &Metrics) -> Result<()> {
        self.write(metrics)
    }

    fn validation(&mut self, step: u64, validation: &Validation) -> Result<()> {
        self.write(&ValidationLine { step, validation })
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))
    }

    fn saved(&mut self, step: u64) -> Result<()> {
        self.forget_until(step)
    }
}

/// The step of a line, and whether it is a validation. Lines are in this order.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    step: u64,
    validation: bool,
}

/// Calls `take` with each whole line of a log; with none if there is no file.
fn each_line(path: &Path, mut take: impl FnMut(Key, &[u8]) -> Result<()>) -> Result<()> {
    let mut lines = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => BufReader::new(file.map_err(Error::io(path))?),
    };
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        if lines.read_until(b'\n', &mut text).map_err(Error::io(path))? == 0 {
            break;
        }
        match serde_json::from_slice::<AnyLine>(&text) {
            Ok(AnyLine { step, validation }) if text.ends_with(b"\n") => {
                take(Key { step, validation: validation.is_some() }, &text)?;
            }
            Ok(_) => {}
            Err(_) => log::warn!("{}:{number}: dropped a line that is not whole", path.display()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64) -> Metrics {
        Metrics {
            step,
            tokens: 100 * step,
            loss: 2.5,
            accuracy: 0.25,
            learning_rate: 1e-3,
            grad_norm: 1.5,
            tokens_per_second: 10.0,
            loss_scale: None,
            losses: Default::default(),
        }
    }

    const VALIDATION: Validation = Validation {
        loss: 2.0,
        cross_entropy: 2.0,
        perplexity: 7.5,
        accuracy: 0.5,
        unigram_cross_entropy: 6.0,
        masked_tokens: 9,
        others: BTreeMap::new(),
    };

    fn log_of_four(path: &Path) {
        let mut log = MetricsLog::open(path, 0).unwrap();
        for step in 1..=4 {
            log.step(&metrics(step)).unwrap();
            log.validation(step, &VALIDATION).unwrap();
        }
    }

    fn steps(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str::<AnyLine>(line).unwrap().step).collect()
    }

    #[test]
    fn lines_have_the_documented_form() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        log.step(&Metrics { grad_norm: f64::INFINITY, ..metrics(3) }).unwrap();
        log.validation(3, &VALIDATION).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"step\":3,\"tokens\":300,\"loss\":2.5,\"accuracy\":0.25,\"learning_rate\":0.001,\"grad_norm\":null,\
             \"tokens_per_second\":10.0}\n\
             {\"step\":3,\"validation\":{\"cross_entropy\":2.0,\"perplexity\":7.5,\"accuracy\":0.5,\
             \"unigram_cross_entropy\":6.0,\"masked_tokens\":9}}\n"
        );
    }

    #[test]
    fn a_resumed_run_has_each_step_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        log_of_four(&path);
        let mut log = MetricsLog::open(&path, 2).unwrap();
        assert_eq!(steps(&path), [1, 1, 2, 2]);
        log.step(&metrics(3)).unwrap();
        assert_eq!(steps(&path), [1, 1, 2, 2, 3]);
        log.saved(3).unwrap();
        assert_eq!(steps(&dir.path().join("metrics.superseded.jsonl")), [3, 3, 4, 4], "step 4 was not saved again");
        log.step(&metrics(4)).unwrap();
        log.saved(4).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a file was left behind");
    }

    /// A checkpoint can't be read for a while. The run resumes from an earlier one, is killed, and then resumes from the later
    /// one.
    #[test]
    fn lines_come_back_with_their_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        log_of_four(&path);
        MetricsLog::open(&path, 1).unwrap().step(&metrics(2)).unwrap();
        drop(MetricsLog::open(&path, 1).unwrap());
        MetricsLog::open(&path, 4).unwrap().step(&metrics(5)).unwrap();
        assert_eq!(steps(&path), [1, 1, 2, 2, 3, 3, 4, 4, 5]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a file was left behind");
    }

    #[test]
    fn a_torn_last_line_is_dropped() {
        for torn in ["{\"step\":5,\"tok", "{\"step\":4,\"tokens\":400}", "\u{0}\u{0}\u{0}"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("metrics.jsonl");
            log_of_four(&path);
            OpenOptions::new().append(true).open(&path).unwrap().write_all(torn.as_bytes()).unwrap();
            MetricsLog::open(&path, 4).unwrap().step(&metrics(5)).unwrap();
            assert_eq!(steps(&path), [1, 1, 2, 2, 3, 3, 4, 4, 5], "after {torn}");
        }
    }

    #[test]
    fn a_new_run_starts_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        log_of_four(&path);
        MetricsLog::open(&path, 0).unwrap();
        assert!(steps(&path).is_empty());
    }
}
