//! Steps whose metrics are still on the device.

use super::{Histogram, Metrics, Throughput};
use crate::kernels::Precision;
use crate::kernels::gradient_norm::OptimizerState;
use crate::tasks::Measured;
use std::collections::VecDeque;
use std::time::Instant;

/// What the host knows of a step whose metrics it waits for.
pub(super) struct PendingStep {
    pub step: u64,
    /// Tokens of this step alone, padding not included.
    pub tokens: u64,
    pub learning_rate: f64,
    /// Histograms of its gradients and of the weights after it, if a sink wants them.
    pub histograms: Vec<(String, Histogram)>,
}

/// The steps that were queued, in their order, until their metrics arrive.
pub(super) struct PendingSteps {
    queue: VecDeque<PendingStep>,
    /// Tokens of all steps whose metrics have arrived since the start of training.
    tokens: u64,
    throughput: Throughput,
    /// When the last metrics arrived.
    last: Instant,
    /// Whether losses are scaled.
    scaled: bool,
}

impl PendingSteps {
    /// For a training that has seen this many tokens before.
    pub fn after(tokens: u64, precision: Precision) -> Self {
        let (throughput, scaled) = (Throughput::default(), precision != Precision::F32);
        PendingSteps { queue: VecDeque::new(), tokens, throughput, last: Instant::now(), scaled }
    }

    pub fn push(&mut self, step: PendingStep) {
        self.queue.push_back(step);
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Leaves the time since the last metrics out of the throughput, because it was not spent on training.
    pub fn restart_clock(&mut self) {
        self.last = Instant::now();
    }

    /// Takes out the oldest step, whose measurements have arrived, and returns its metrics and histograms. `losses` are the
    /// task's names of its losses. Panics if no step is queued, since every request belongs to one.
    pub fn arrived(
        &mut self,
        measured: &Measured,
        losses: &[&str],
        optimizer: &OptimizerState,
    ) -> (Metrics, Vec<(String, Histogram)>) {
        let oldest = self.queue.pop_front().expect("every request belongs to a step");
        let PendingStep { step, tokens, learning_rate, histograms } = oldest;
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.tokens += tokens;
        let metrics = Metrics {
            step,
            tokens: self.tokens,
            loss: measured.loss(),
            accuracy: measured.accuracy(),
            learning_rate,
            grad_norm: f64::from(optimizer.gradient_norm),
            tokens_per_second: self.throughput.update(tokens, seconds),
            loss_scale: self.scaled.then_some(f64::from(optimizer.loss_scale)),
            losses: measured.parts(losses).into_iter().collect(),
        };
        (metrics, histograms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;
    use std::time::Duration;

    /// A resume may use another batch size, so the tokens of before say nothing about its throughput.
    #[test]
    fn tokens_add_up_and_those_of_before_have_no_speed() {
        let mut pending = PendingSteps::after(1_000_000, Precision::F16);
        for (step, tokens) in [(11, 512), (12, 500)] {
            pending.push(PendingStep { step, tokens, learning_rate: 1e-3, histograms: Vec::new() });
        }
        pending.last -= Duration::from_secs(2);
        let mut arrived = || pending.arrived(&Measured::default(), &[], &OptimizerState::zeroed()).0;
        let (first, second) = (arrived(), arrived());
        assert_eq!((first.step, first.tokens, first.loss_scale), (11, 1_000_512, Some(0.0)));
        assert!(first.tokens_per_second > 0.0 && first.tokens_per_second <= 256.0, "{}", first.tokens_per_second);
        assert_eq!((second.step, second.tokens), (12, 1_001_012));
        assert!(pending.is_empty());
    }
}
