//! Event files, as TensorBoard reads them.

mod event;
mod message;
mod record;

use super::Sink;
use crate::config::Config;
use crate::files;
use crate::train::{Histogram, Metrics, Validation};
use crate::{Error, Result};
use event::When;
use message::Message;
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The prefix of the names of event files; the time in seconds follows.
const PREFIX: &str = "events.out.tfevents.";

/// The event file of a training since it started or resumed. Events are written at once, without a buffer, so that
/// TensorBoard shows them immediately.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    /// Steps between histograms; 0 for none.
    histograms_every: u64,
}

impl TensorBoard {
    /// Begins a new file in a run's folder of event files, for a training that continues after `step` steps (0 for a new run),
    /// with the config as a text. TensorBoard ignores what older files have of later steps.
    ///
    /// # Errors
    /// The folder or the file can't be made.
    pub fn create(folder: &Path, config: &Config, step: u64) -> Result<TensorBoard> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let path = folder.join(format!("{PREFIX}{:010}.cloze", next_second(folder)?));
        let file = File::create_new(&path).map_err(Error::io(&path))?;
        let mut board = TensorBoard { path, file, histograms_every: config.train.tensorboard_histograms };
        let when = at(step + 1);
        board.write(event::file_version(when))?;
        board.write(event::session_start(when))?;
        // Markdown shows indented lines as code, unchanged.
        let text: String = config.to_toml().lines().map(|line| format!("    {line}\n")).collect();
        board.write(event::summary(when, [event::text("config", &text)].into_iter()))?;
        files::sync_folder(folder)?;
        Ok(board)
    }

    fn write(&mut self, event: Message) -> Result<()> {
        self.file.write_all(&record::record(&event.finish())).map_err(Error::io(&self.path))
    }

    /// Writes every number except the step, under its name in `metrics.jsonl`.
    fn scalars(&mut self, step: u64, group: &str, measured: &impl Serialize) -> Result<()> {
        let measured = serde_json::to_value(measured).expect("a struct of numbers is always JSON");
        let measured = measured.as_object().expect("a struct is an object");
        let scalar = |(name, number): (&String, &Value)| {
            event::scalar(&format!("{group}/{name}"), number.as_f64().unwrap_or(f64::NAN))
        };
        let values = measured.iter().filter(|(name, _)| *name != "step").map(scalar);
        self.write(event::summary(at(step), values))
    }
}

impl Sink for TensorBoard {
    fn step(&mut self, metrics: &Metrics) -> Result<()> {
        self.scalars(metrics.step, "train", metrics)
    }

    fn validation(&mut self, step: u64, validation: &Validation) -> Result<()> {
        self.scalars(step, "validation", validation)
    }

    fn wants_histograms(&self, step: u64) -> bool {
        self.histograms_every > 0 && step.is_multiple_of(self.histograms_every)
    }

    fn histograms(&mut self, step: u64, histograms: &[(String, Histogram)]) -> Result<()> {
        let values = histograms.iter().map(|(tag, histogram)| event::histogram(tag, histogram));
        self.write(event::summary(at(step), values))
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))
    }
}

/// The present time, with a step.
fn at(step: u64) -> When {
    When { seconds: seconds(), step }
}

/// Seconds since 1970; 0 if the clock is set before that.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The present second, or if the clock was set back, one after all those in the names of the folder's files: TensorBoard reads
/// files in the order of their names.
fn next_second(folder: &Path) -> Result<u64> {
    let mut next = seconds() as u64;
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let name = entry.map_err(Error::io(folder))?.file_name();
        let second = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok());
        next = next.max(second.map_or(0, |second| second.saturating_add(1)));
    }
    Ok(next)
}
