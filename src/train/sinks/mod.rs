//! Where the measurements of a training go.

mod jsonl;

pub use jsonl::MetricsLog;

use super::{Metrics, RunDir, Validation};
use crate::Result;

/// Something that takes what a training measures. An error of any ends the training.
pub trait Sink: Send {
    /// Takes what a step measured.
    ///
    /// # Errors
    /// It can't be written.
    fn step(&mut self, metrics: &Metrics) -> Result<()>;

    /// Takes what a validation after `step` steps measured.
    ///
    /// # Errors
    /// It can't be written.
    fn validation(&mut self, step: u64, validation: &Validation) -> Result<()>;

    /// Takes a line for whoever watches.
    ///
    /// # Errors
    /// It can't be written.
    fn note(&mut self, _line: &str) -> Result<()> {
        Ok(())
    }

    /// Waits until the disk has everything that was taken, before a checkpoint counts on it.
    ///
    /// # Errors
    /// The disk refuses.
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// A checkpoint was saved after `step` steps: none of them is taken again.
    ///
    /// # Errors
    /// The disk refuses.
    fn saved(&mut self, _step: u64) -> Result<()> {
        Ok(())
    }
}

/// The sinks of a training, which take everything alike.
pub struct Sinks(pub Vec<Box<dyn Sink>>);

impl Sinks {
    /// Those of a run's folder, in a training that goes on after `step` steps (0 for a new run): a line each.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn of_run(run: &RunDir, step: u64) -> Result<Sinks> {
        Ok(Sinks(vec![Box::new(MetricsLog::open(&run.metrics(), step)?)]))
    }
}

impl Sink for Sinks {
    fn step(&mut self, metrics: &Metrics) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.step(metrics))
    }

    fn validation(&mut self, step: u64, validation: &Validation) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.validation(step, validation))
    }

    fn note(&mut self, line: &str) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.note(line))
    }

    fn sync(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.sync())
    }

    fn saved(&mut self, step: u64) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.saved(step))
    }
}
