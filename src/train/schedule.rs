//! The learning rate of each step.

use crate::config::{Schedule, TrainConfig};

/// The learning rate of step `step`, counted from 0 to S − 1, where S is `steps`; beyond S it stays at the minimum.
///
/// With warm-up length W, highest rate `r` and lowest rate `m`:
///
/// - warm-up, s < W: r · (s + 1) / W, so that no step is spent at zero (Goyal et al., "Accurate, large minibatch SGD",
///   2017);
/// - linear: m + (r − m) · (S − s) / (S − W), as BERT's;
/// - cosine: m + (r − m) · ½ (1 + cos(π (s − W) / (S − W))) (Loshchilov and Hutter, "SGDR", 2017);
/// - wsd: r until the last D steps, then m + (r − m) · (1 − √((s − (S − D)) / D)): the "warm-up, stable, decay" of
///   Hu et al., "MiniCPM" (2024), with the decay that Hägele et al., "Scaling laws and compute-optimal training beyond
///   fixed training durations" (2024) found best, and which ModernBERT took;
/// - constant: r.
pub fn learning_rate(config: &TrainConfig, step: u64) -> f64 {
    let (steps, warmup) = (config.steps, config.warmup());
    let (high, low) = (config.learning_rate, config.min_learning_rate);
    if step < warmup {
        return high * (step + 1) as f64 / warmup as f64;
    }
    let share = |start: u64| if step < steps { (step - start) as f64 / (steps - start) as f64 } else { 1.0 };
    let height = match config.schedule {
        Schedule::Linear => 1.0 - share(warmup),
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share(warmup)).cos()),
        Schedule::Wsd if step < steps - config.decay() => 1.0,
        Schedule::Wsd => 1.0 - share(steps - config.decay()).sqrt(),
        Schedule::Constant => return high,
    };
    low + (high - low) * height
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(schedule: &str) -> TrainConfig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("schedule.toml");
        let text = format!(
            "data.train = ['a.txt']
             model = {{ layers = 1, hidden_size = 64, heads = 1 }}
             [train]
             schedule = '{schedule}'
             steps = 100
             learning_rate = 1.0
             min_learning_rate = 0.1
             warmup_steps = 20
             decay_fraction = 0.25"
        );
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &[]).unwrap().train
    }

    #[test]
    fn known_values() {
        for (schedule, values) in [
            ("linear", [(19, 1.0), (20, 1.0), (60, 0.55), (99, 0.1 + 0.9 / 80.0), (100, 0.1), (500, 0.1)]),
            ("cosine", [(19, 1.0), (20, 1.0), (40, 0.1 + 0.9 * 0.853_553_390_6), (60, 0.55), (100, 0.1), (500, 0.1)]),
            ("wsd", [(20, 1.0), (74, 1.0), (75, 1.0), (84, 0.1 + 0.9 * 0.4), (100, 0.1), (500, 0.1)]),
            ("constant", [(19, 1.0), (20, 1.0), (60, 1.0), (99, 1.0), (100, 1.0), (500, 1.0)]),
        ] {
            let config = config(schedule);
            assert!((learning_rate(&config, 0) - 0.05).abs() < 1e-12, "{schedule}: the first step of the warm-up");
            assert!((learning_rate(&config, 9) - 0.5).abs() < 1e-12, "{schedule}: half of the warm-up");
            for (step, expected) in values {
                let rate = learning_rate(&config, step);
                assert!((rate - expected).abs() < 1e-9, "{schedule} at {step}: {rate}, not {expected}");
            }
        }
    }

    #[test]
    fn no_step_is_spent_at_zero() {
        for schedule in ["linear", "cosine", "wsd", "constant"] {
            let config = TrainConfig { min_learning_rate: 0.0, ..config(schedule) };
            assert!((0..100).all(|step| learning_rate(&config, step) > 0.0), "{schedule}");
        }
    }

    #[test]
    fn the_extremes_are_finite() {
        let all_warmup = TrainConfig { warmup_steps: Some(100), ..config("linear") };
        assert_eq!(learning_rate(&all_warmup, 99), 1.0);
        assert_eq!(learning_rate(&all_warmup, 100), 0.1);
        let no_warmup = TrainConfig { warmup_steps: Some(0), ..config("cosine") };
        assert_eq!(learning_rate(&no_warmup, 0), 1.0);
        let no_decay = TrainConfig { decay_fraction: 0.001, ..config("wsd") };
        assert_eq!(learning_rate(&no_decay, 99), 1.0);
        assert_eq!(learning_rate(&no_decay, 100), 0.1);
    }
}
