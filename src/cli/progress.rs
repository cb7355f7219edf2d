//! The progress of a run, on stderr at the level "info": a bar on a terminal, lines elsewhere.

use crate::Result;
use crate::train::{Metrics, Sink, Validation};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A bar over the batches of a measurement, shown if standard error is a terminal.
pub fn batch_bar(message: &'static str, batches: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} batches {eta}");
    ProgressBar::new(batches as u64).with_style(style.expect("a constant template")).with_message(message)
}

/// The display of a running training.
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    /// Steps and tokens that were already done when this process began.
    done: (u64, u64),
    log_every: u64,
}

impl Progress {
    /// For a run of `steps` steps, of which the steps and tokens in `done` are already done. Without a terminal a line is
    /// written every `log_every` steps.
    pub fn new(steps: u64, done: (u64, u64), log_every: u64) -> Progress {
        let watched = std::io::stderr().is_terminal() && log::log_enabled!(log::Level::Info);
        Progress { bar: watched.then(|| bar(steps, done.0)), steps, done, log_every }
    }

    fn describe(&self, metrics: &Metrics) -> String {
        format!(
            "loss {:.4}  {} tokens/s  lr {:.2e}  {} left",
            metrics.loss,
            count(metrics.tokens_per_second),
            metrics.learning_rate,
            time_left(metrics, self.steps, self.done).map_or("?".to_string(), clock),
        )
    }
}

impl Sink for Progress {
    fn step(&mut self, metrics: &Metrics) -> Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.set_position(metrics.step);
                bar.set_message(self.describe(metrics));
            }
            None if metrics.step.is_multiple_of(self.log_every) || metrics.step == self.steps => {
                log::info!("step {}/{}  {}", metrics.step, self.steps, self.describe(metrics));
            }
            None => {}
        }
        Ok(())
    }

    fn validation(&mut self, step: u64, validation: &Validation) -> Result<()> {
        self.note(&format!(
            "step {step}/{}  validation: cross-entropy {:.4} (unigram {:.4}), perplexity {:.2}, accuracy {:.1} %{}",
            self.steps,
            validation.cross_entropy,
            validation.unigram_cross_entropy,
            validation.perplexity,
            100.0 * validation.accuracy,
            others(validation),
        ))
    }

    /// Writes a line that stays, above the bar if there is one.
    fn note(&mut self, line: &str) -> Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| log::info!("{line}")),
            None => log::info!("{line}"),
        }
        Ok(())
    }
}

impl Drop for Progress {
    /// Leaves the bar's last state on the screen, even if training ends with an error.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// What a validation measured besides the masked words, as the end of a sentence.
pub(super) fn others(validation: &Validation) -> String {
    validation.others.iter().map(|(name, value)| format!(", {} {value:.3}", name.replace('_', " "))).collect()
}

fn bar(steps: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} step {pos}/{len}  {msg}").expect("the template is right");
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr()).with_style(style);
    bar.set_position(done);
    bar
}

/// Time for the steps that are left, at the present speed and with as many tokens per step as since `done` (before a resume the
/// batch size may have been another); `None` while that is unknown.
fn time_left(metrics: &Metrics, steps: u64, done: (u64, u64)) -> Option<Duration> {
    let tokens_per_step = metrics.tokens.saturating_sub(done.1) as f64 / metrics.step.saturating_sub(done.0) as f64;
    let seconds = steps.saturating_sub(metrics.step) as f64 * tokens_per_step / metrics.tokens_per_second;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A count with about three digits: 950, 12.3k, 1.23M.
fn count(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e4 => format!("{:.1}k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64, tokens: u64, tokens_per_second: f64) -> Metrics {
        Metrics {
            step,
            tokens,
            loss: 2.34567,
            accuracy: 0.5,
            learning_rate: 1e-3,
            grad_norm: 1.0,
            tokens_per_second,
            loss_scale: None,
            losses: Default::default(),
        }
    }

    #[test]
    fn a_line_says_what_matters() {
        let progress = Progress { bar: None, steps: 1000, done: (0, 0), log_every: 10 };
        let line = progress.describe(&metrics(100, 400_000, 12_345.0));
        assert_eq!(line, "loss 2.3457  12.3k tokens/s  lr 1.00e-3  4:51 left");
    }

    #[test]
    fn time_left_is_unknown_without_a_speed() {
        assert_eq!(time_left(&metrics(1, 4000, 0.0), 10, (0, 0)), None);
        assert_eq!(time_left(&metrics(0, 0, 100.0), 10, (0, 0)), None);
        assert_eq!(time_left(&metrics(10, 4000, 100.0), 10, (0, 0)), Some(Duration::ZERO));
        // 10 steps of 64 tokens after 10 of 1000.
        assert_eq!(time_left(&metrics(20, 10_640, 64.0), 30, (10, 10_000)), Some(Duration::from_secs(10)));
    }

    #[test]
    fn times_and_counts_are_short() {
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_secs(3_725)), "1:02:05");
        assert_eq!(clock(Duration::from_secs(360_000)), "100:00:00");
        assert_eq!((count(950.4), count(12_300.0), count(1_234_567.0)), ("950".into(), "12.3k".into(), "1.23M".into()));
    }
}
