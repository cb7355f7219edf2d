//! The throughput of training, smoothed so that it is steady enough to read.

/// How long measurements count, in seconds: after this time they weigh 1/e.
const MEMORY: f64 = 10.0;

/// Tokens per second, averaged over roughly the last ten seconds.
#[derive(Default)]
pub struct Throughput {
    tokens: f64,
    seconds: f64,
}

impl Throughput {
    /// Adds a step of `tokens` tokens that ended `seconds` after the one before, and returns the smoothed tokens per second,
    /// which are 0 before any time has passed.
    pub fn update(&mut self, tokens: u64, seconds: f64) -> f64 {
        let decay = (-seconds / MEMORY).exp();
        self.tokens = self.tokens * decay + tokens as f64;
        self.seconds = self.seconds * decay + seconds;
        if self.seconds > 0.0 { self.tokens / self.seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After each of `times` more steps of `tokens` and `seconds`.
    fn last(throughput: &mut Throughput, times: usize, tokens: u64, seconds: f64) -> f64 {
        (0..times).map(|_| throughput.update(tokens, seconds)).last().unwrap()
    }

    #[test]
    fn a_steady_speed_is_shown_as_it_is() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.update(0, 0.0), 0.0);
        for _ in 0..50 {
            assert!((last(&mut throughput, 1, 300, 0.1) - 3000.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_hiccup_is_smoothed_and_forgotten() {
        let mut throughput = Throughput::default();
        last(&mut throughput, 100, 1000, 1.0);
        let hiccup = last(&mut throughput, 1, 1000, 2.0);
        assert!(hiccup > 850.0 && hiccup < 950.0, "{hiccup}");
        assert!((last(&mut throughput, 101, 1000, 1.0) - 1000.0).abs() < 1.0);
    }
}
