//! Summarises repeated measurements of the same thing.

use serde::Serialize;
use std::time::Duration;

/// Milliseconds of repeated runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timing {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// How far apart the middle half of the runs is, as a share of the median.
    pub spread: f64,
}

impl Timing {
    /// # Panics
    /// If nothing was measured.
    pub fn of(mut times: Vec<Duration>) -> Timing {
        times.sort();
        let last = times.len() - 1;
        let at = |place: usize| 1e3 * times[place].as_secs_f64();
        let median = (at(last / 2) + at(last.div_ceil(2))) / 2.0;
        Timing { median, min: at(0), max: at(last), spread: (at(last - last / 4) - at(last / 4)) / median }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(milliseconds: &[u64]) -> Timing {
        Timing::of(milliseconds.iter().map(|&each| Duration::from_millis(each)).collect())
    }

    #[test]
    fn an_outlier_moves_the_maximum_alone() {
        let Timing { median, min, max, spread } = timing(&[10, 11, 500, 9, 10]);
        assert_eq!((median, min, max), (10.0, 9.0, 500.0));
        assert!((spread - 0.1).abs() < 1e-12, "{spread}");
    }

    #[test]
    fn few_measurements() {
        assert_eq!(timing(&[7]), Timing { median: 7.0, min: 7.0, max: 7.0, spread: 0.0 });
        assert_eq!(timing(&[4, 2]), Timing { median: 3.0, min: 2.0, max: 4.0, spread: 2.0 / 3.0 });
    }
}
