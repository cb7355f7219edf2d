//! Sinks: where the measurements of a training are written.

mod jsonl;
mod tensorboard;

pub use jsonl::MetricsLog;
pub use tensorboard::TensorBoard;

use super::{Histogram, Metrics, RunDir, Validation};
use crate::Result;
use crate::config::Config;

/// Something that takes what a training measures. An error of any sink ends the training.
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

    /// Whether it takes histograms of a step. Making them waits for the device, and reads all weights and gradients from it.
    fn wants_histograms(&self, _step: u64) -> bool {
        false
    }

    /// Takes the histograms of a step, by name. `gradients/…` are those of each parameter's gradient, and `weights/…` those of
    /// its values after the step.
    ///
    /// # Errors
    /// It can't be written.
    fn histograms(&mut self, _step: u64, _histograms: &[(String, Histogram)]) -> Result<()> {
        Ok(())
    }

    /// Takes a line to show to the user.
    ///
    /// # Errors
    /// It can't be written.
    fn note(&mut self, _line: &str) -> Result<()> {
        Ok(())
    }

    /// Waits until everything that was taken is on the disk, before a checkpoint relies on it.
    ///
    /// # Errors
    /// The disk refuses.
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// A checkpoint was saved after `step` steps, so none of these steps will be repeated.
    ///
    /// # Errors
    /// The disk refuses.
    fn saved(&mut self, _step: u64) -> Result<()> {
        Ok(())
    }
}

/// The sinks of a training, each of which takes everything.
pub struct Sinks(pub Vec<Box<dyn Sink>>);

impl Sinks {
    /// The sinks that write into a run's folder, for a training that continues after `step` steps (0 for a new run). Each sink
    /// has a line here.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn of_run(config: &Config, run: &RunDir, step: u64) -> Result<Sinks> {
        let mut sinks = Sinks(Vec::new());
        sinks.add(true, || MetricsLog::open(&run.metrics(), step))?;
        sinks.add(config.train.tensorboard, || TensorBoard::create(&run.tensorboard(), config, step))?;
        Ok(sinks)
    }

    fn add<S: Sink + 'static>(&mut self, wanted: bool, make: impl FnOnce() -> Result<S>) -> Result<()> {
        if wanted {
            self.0.push(Box::new(make()?));
        }
        Ok(())
    }
}

impl Sink for Sinks {
    fn step(&mut self, metrics: &Metrics) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.step(metrics))
    }

    fn validation(&mut self, step: u64, validation: &Validation) -> Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.validation(step, validation))
    }

    fn wants_histograms(&self, step: u64) -> bool {
        self.0.iter().any(|sink| sink.wants_histograms(step))
    }

    fn histograms(&mut self, step: u64, histograms: &[(String, Histogram)]) -> Result<()> {
        let mut takers = self.0.iter_mut().filter(|sink| sink.wants_histograms(step));
        takers.try_for_each(|sink| sink.histograms(step, histograms))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::{Arc, Mutex};

    /// Notes what it takes. It wants histograms of even steps.
    struct Noting(Arc<Mutex<Vec<String>>>);

    impl Noting {
        fn take(&mut self, what: String) -> Result<()> {
            self.0.lock().unwrap().push(what);
            Ok(())
        }
    }

    impl Sink for Noting {
        fn step(&mut self, metrics: &Metrics) -> Result<()> {
            self.take(format!("step {}", metrics.step))
        }

        fn validation(&mut self, step: u64, _: &Validation) -> Result<()> {
            self.take(format!("validation {step}"))
        }

        fn wants_histograms(&self, step: u64) -> bool {
            step.is_multiple_of(2)
        }

        fn histograms(&mut self, step: u64, histograms: &[(String, Histogram)]) -> Result<()> {
            self.take(format!("{} histograms {step}", histograms.len()))
        }

        fn note(&mut self, line: &str) -> Result<()> {
            self.take(line.to_string())
        }
    }

    /// Wants no histograms, and fails with the first validation.
    struct Failing;

    impl Sink for Failing {
        fn step(&mut self, _: &Metrics) -> Result<()> {
            Ok(())
        }

        fn validation(&mut self, _: u64, _: &Validation) -> Result<()> {
            Err(Error::device("no room"))
        }

        fn histograms(&mut self, _: u64, _: &[(String, Histogram)]) -> Result<()> {
            unreachable!("it wants none")
        }
    }

    #[test]
    fn every_sink_takes_everything() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut sinks =
            Sinks(vec![Box::new(Noting(taken.clone())), Box::new(Failing), Box::new(Noting(taken.clone()))]);
        let numbers = [1.0; 5];
        let [loss, accuracy, learning_rate, grad_norm, tokens_per_second] = numbers;
        let metrics = Metrics {
            step: 2,
            tokens: 9,
            loss,
            accuracy,
            learning_rate,
            grad_norm,
            tokens_per_second,
            loss_scale: None,
            losses: Default::default(),
        };
        let [cross_entropy, perplexity, accuracy, unigram_cross_entropy, _] = numbers;
        let validation = Validation {
            loss: cross_entropy,
            cross_entropy,
            perplexity,
            accuracy,
            unigram_cross_entropy,
            masked_tokens: 9,
            others: Default::default(),
        };
        sinks.step(&metrics).unwrap();
        assert!(sinks.wants_histograms(2) && !sinks.wants_histograms(3));
        sinks.histograms(2, &[]).unwrap();
        sinks.note("a word").unwrap();
        assert!(sinks.validation(2, &validation).is_err());
        let expected = ["step 2", "step 2", "0 histograms 2", "0 histograms 2", "a word", "a word", "validation 2"];
        assert_eq!(*taken.lock().unwrap(), expected);
    }
}
