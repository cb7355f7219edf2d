//! The learning rate of each step.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up; [`LearningRate::at`] has the formulae.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// In a straight line.
    Linear,
    /// Along half a cosine.
    Cosine,
    /// Warm-up, stable, decay: not at all until the last `decay_fraction`.
    Wsd,
    /// Not at all.
    Constant,
}

/// The learning rates of a training run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    pub schedule: Schedule,
    /// Number of steps of the whole training.
    pub steps: u64,
    /// Steps of the warm-up, at most `steps`.
    pub warmup: u64,
    /// Steps of the final decay of [`Schedule::Wsd`].
    pub decay: u64,
    /// The highest rate.
    pub high: f64,
    /// Where it ends.
    pub low: f64,
}

impl LearningRate {
    /// The learning rate of step `step`, counted from 0 to S − 1, where S is `steps`. Beyond S it stays at `low`, or at `high` if
    /// it is constant.
    ///
    /// With warm-up length W, highest rate r and lowest rate m:
    ///
    /// - warm-up, s < W: r · (s + 1) / W, so that no step is spent at zero (Goyal et al., "Accurate, large minibatch SGD",
    ///   2017);
    /// - linear: m + (r − m) · (S − s) / (S − W), as BERT's;
    /// - cosine: m + (r − m) · ½ (1 + cos(π (s − W) / (S − W))) (Loshchilov and Hutter, "SGDR", 2017);
    /// - wsd: r until the last D steps, then m + (r − m) · (1 − √((s − (S − D)) / D)): the "warm-up, stable, decay" of
    ///   Hu et al., "MiniCPM" (2024), with the decay that Hägele et al., "Scaling laws and compute-optimal training beyond
    ///   fixed training durations" (2024) found best, and which ModernBERT took;
    /// - constant: r.
    pub fn at(&self, step: u64) -> f64 {
        let &LearningRate { schedule, steps, warmup, decay, high, low } = self;
        if step < warmup {
            return high * (step + 1) as f64 / warmup as f64;
        }
        let share = |start: u64| if step < steps { (step - start) as f64 / (steps - start) as f64 } else { 1.0 };
        let height = match schedule {
            Schedule::Linear => 1.0 - share(warmup),
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share(warmup)).cos()),
            Schedule::Wsd if step < steps - decay => 1.0,
            Schedule::Wsd => 1.0 - share(steps - decay).sqrt(),
            Schedule::Constant => return high,
        };
        low + (high - low) * height
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Schedule::{Constant, Cosine, Linear, Wsd};

    fn rates(schedule: Schedule) -> LearningRate {
        LearningRate { schedule, steps: 100, warmup: 20, decay: 25, high: 1.0, low: 0.1 }
    }

    #[test]
    fn known_values() {
        for (schedule, values) in [
            (Linear, [(19, 1.0), (20, 1.0), (60, 0.55), (99, 0.1 + 0.9 / 80.0), (100, 0.1), (500, 0.1)]),
            (Cosine, [(19, 1.0), (20, 1.0), (40, 0.1 + 0.9 * 0.853_553_390_6), (60, 0.55), (100, 0.1), (500, 0.1)]),
            (Wsd, [(20, 1.0), (74, 1.0), (75, 1.0), (84, 0.1 + 0.9 * 0.4), (100, 0.1), (500, 0.1)]),
            (Constant, [(19, 1.0), (20, 1.0), (60, 1.0), (99, 1.0), (100, 1.0), (500, 1.0)]),
        ] {
            let rates = rates(schedule);
            assert!((rates.at(0) - 0.05).abs() < 1e-12, "{schedule:?}: the first step of the warm-up");
            assert!((rates.at(9) - 0.5).abs() < 1e-12, "{schedule:?}: half of the warm-up");
            for (step, expected) in values {
                let rate = rates.at(step);
                assert!((rate - expected).abs() < 1e-9, "{schedule:?} at {step}: {rate}, not {expected}");
            }
        }
    }

    #[test]
    fn no_step_is_spent_at_zero() {
        for schedule in [Linear, Cosine, Wsd, Constant] {
            let rates = LearningRate { low: 0.0, ..rates(schedule) };
            assert!((0..100).all(|step| rates.at(step) > 0.0), "{schedule:?}");
        }
    }

    #[test]
    fn the_extremes_are_finite() {
        let all_warmup = LearningRate { warmup: 100, ..rates(Linear) };
        assert_eq!((all_warmup.at(99), all_warmup.at(100)), (1.0, 0.1));
        assert_eq!(LearningRate { warmup: 0, ..rates(Cosine) }.at(0), 1.0);
        let no_decay = LearningRate { decay: 0, ..rates(Wsd) };
        assert_eq!((no_decay.at(99), no_decay.at(100)), (1.0, 0.1));
    }
}
