//! `metrics.jsonl`: what was measured, a line a step or validation, in the order of steps.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What one optimiser step measured. A value that is not finite is written as `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Optimiser steps done, this one included.
    pub step: u64,
    /// Tokens seen since the start of training, padding not included.
    pub tokens: u64,
    /// Mean cross-entropy of the masked tokens in nats.
    pub loss: f64,
    /// Share of the masked tokens guessed right.
    pub accuracy: f64,
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Smoothed: see [`super::Throughput`].
    pub tokens_per_second: f64,
    /// What the losses of the next step are multiplied by in training; only with `train.precision = "f16"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
}

/// What one validation measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Mean cross-entropy of the masked tokens in nats.
    pub cross_entropy: f64,
    /// exp(`cross_entropy`)
    pub perplexity: f64,
    /// Share of the masked tokens guessed right.
    pub accuracy: f64,
    /// Cross-entropy in nats of guessing by the training text's token counts: what a model must beat. NaN, written as
    /// `null`, where the counts are not known.
    pub unigram_cross_entropy: f64,
    /// How many tokens were guessed.
    pub masked_tokens: u64,
}

/// The open `metrics.jsonl` of a run.
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct ValidationLine<'a> {
    step: u64,
    validation: &'a Validation,
}

#[derive(Deserialize)]
struct AnyLine {
    step: u64,
}

impl MetricsLog {
    /// Opens the log of a run that goes on after `step` steps (0 for a new run). Lines of later steps, which are about
    /// to be taken again, are cut off, as is a line that a killed run left unfinished.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<MetricsLog> {
        if path.exists() {
            keep_until(path, step)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        Ok(MetricsLog { path: path.to_path_buf(), file })
    }

    /// Adds the line of a step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn step(&mut self, metrics: &Metrics) -> Result<()> {
        self.write(metrics)
    }

    /// Adds the line of a validation after `step` steps.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn validation(&mut self, step: u64, validation: &Validation) -> Result<()> {
        self.write(&ValidationLine { step, validation })
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line).expect("a struct of numbers is always JSON");
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(Error::io(&self.path))
    }
}

/// Replaces the log by one that ends with `step`, in one rename.
fn keep_until(path: &Path, step: u64) -> Result<()> {
    let old = File::open(path).map_err(Error::io(path))?;
    let permissions = old.metadata().map_err(Error::io(path))?.permissions();
    let mut lines = BufReader::new(old);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let kept = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(folder))?;
    let mut writer = BufWriter::new(kept);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(Error::io(path))? == 0 {
            break;
        }
        match serde_json::from_slice::<AnyLine>(&line) {
            Ok(kept) if line.ends_with(b"\n") && kept.step <= step => {
                writer.write_all(&line).map_err(Error::io(path))?
            }
            Ok(_) => {}
            Err(_) => log::warn!("{}:{number}: dropped a line that is not whole", path.display()),
        }
    }
    let kept = writer.into_inner().map_err(|error| Error::io(path)(error.into_error()))?;
    kept.as_file().set_permissions(permissions).map_err(Error::io(path))?;
    kept.as_file().sync_all().map_err(Error::io(path))?;
    // Windows does not replace a file that is open.
    drop(lines);
    kept.persist(path).map_err(|error| Error::io(path)(error.error))?;
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
        }
    }

    const VALIDATION: Validation =
        Validation { cross_entropy: 2.0, perplexity: 7.5, accuracy: 0.5, unigram_cross_entropy: 6.0, masked_tokens: 9 };

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
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left behind");
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
