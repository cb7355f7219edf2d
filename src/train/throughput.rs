//! A speed that is steady enough to read.

/// How much older measurements count, in seconds: after as long they weigh 1/e.
const MEMORY: f64 = 10.0;

/// Tokens a second, averaged over roughly the last ten seconds.
pub struct Throughput {
    /// Tokens seen since the start of training.
    seen: u64,
    tokens: f64,
    seconds: f64,
}

impl Throughput {
    /// Of a training that has seen so many tokens before.
    pub fn after(seen: u64) -> Self {
        Throughput { seen, tokens: 0.0, seconds: 0.0 }
    }

    /// Takes in that training had seen `seen` tokens `seconds` after the last update, and returns the smoothed tokens a second;
    /// 0 before any time has passed.
    pub fn update(&mut self, seen: u64, seconds: f64) -> f64 {
        let tokens = seen.saturating_sub(self.seen);
        self.seen = seen;
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
        (0..times).map(|_| throughput.update(throughput.seen + tokens, seconds)).last().unwrap()
    }

    #[test]
    fn a_steady_speed_is_shown_as_it_is() {
        let mut throughput = Throughput::after(0);
        assert_eq!(throughput.update(0, 0.0), 0.0);
        for _ in 0..50 {
            assert!((last(&mut throughput, 1, 300, 0.1) - 3000.0).abs() < 1e-6);
        }
    }

    /// A resume may have another batch: what it did before says nothing of its speed.
    #[test]
    fn what_was_seen_before_does_not_count() {
        assert_eq!(Throughput::after(1_000_000).update(1_000_512, 2.0), 256.0);
    }

    #[test]
    fn a_hiccup_is_smoothed_and_forgotten() {
        let mut throughput = Throughput::after(0);
        last(&mut throughput, 100, 1000, 1.0);
        let hiccup = last(&mut throughput, 1, 1000, 2.0);
        assert!(hiccup > 850.0 && hiccup < 950.0, "{hiccup}");
        assert!((last(&mut throughput, 101, 1000, 1.0) - 1000.0).abs() < 1.0);
    }
}
