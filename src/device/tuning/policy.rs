//! How variants are compared: how often each is timed, in which order, and when it is clear which is the fastest.

use crate::kernels::Class;
use crate::{Error, Result};
use std::time::Duration;

/// Measures the time of launches.
pub trait Meter {
    /// Prepares the variants of some consecutive contests. The time for this is not measured.
    ///
    /// # Errors
    /// The device fails.
    fn prepare(&mut self, contests: std::ops::Range<usize>) -> Result<()>;

    /// The time of one launch of a contest's variant, counting only its kernels.
    ///
    /// # Errors
    /// The device fails; the variant then leaves the contest.
    fn time(&mut self, contest: usize, variant: usize) -> Result<Duration>;

    /// The wall-clock time since the start.
    fn elapsed(&self) -> Duration;
}

/// How much time measurements may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Time in kernels.
    pub kernels: Duration,
    /// Wall-clock time, including compilation.
    pub wall: Duration,
}

impl Budget {
    pub const NOTHING: Budget = Budget { kernels: Duration::ZERO, wall: Duration::ZERO };

    /// The environment variable with the seconds of kernel time for measurements; 0 for none.
    const VARIABLE: &str = "CLOZE_MEASURE_SECONDS";

    /// The budget from the environment, or the default for a class of adapter. A software adapter is for tests, and not worth
    /// the time.
    ///
    /// # Errors
    /// The variable is not a number of seconds.
    pub fn from_environment(class: Class) -> Result<Budget> {
        let Some(value) = std::env::var_os(Self::VARIABLE) else {
            let short = Budget { kernels: Duration::from_secs(1), wall: Duration::from_secs(3) };
            return Ok(if class == Class::Software { short } else { Budget::default() });
        };
        let seconds = value.to_str().and_then(|value| value.parse::<f32>().ok());
        let kernels = seconds.and_then(|seconds| Duration::try_from_secs_f32(seconds).ok()).ok_or_else(|| {
            let (variable, value) = (Self::VARIABLE, value.to_string_lossy());
            Error::device(format!(
                "{variable}: `{value}` is not a number of seconds; give one such as 2, or 0 to measure nothing"
            ))
        })?;
        let usual = Budget::default();
        Ok(Budget { kernels, wall: usual.wall.max(usual.wall.mul_f64(kernels.div_duration_f64(usual.kernels))) })
    }

    pub fn is_nothing(self) -> bool {
        self.kernels.is_zero()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget { kernels: Duration::from_secs(2), wall: Duration::from_secs(12) }
    }
}

/// For each contest the place of its fastest variant; `None` where that was not measured.
pub type Measurements = Vec<Option<usize>>;

/// Kernel time after which a GPU's clock has come up from idle.
const WARM_UP: Duration = Duration::from_millis(300);
/// How many contests have their variants compiled together.
const TOGETHER: usize = 8;
/// Rounds. Each round times every remaining variant once, so that a drifting clock affects all of them.
const ROUNDS: usize = 5;
/// A variant this much slower than the fastest is out after one round.
const HOPELESS: f64 = 3.0;
/// The same after two rounds.
const CLEAR: f64 = 1.25;

/// Finds the fastest of each contest's variants; `candidates` says how many each has. The first variant stays unless another is
/// measured to be faster. Contests come in the order of their possible gain.
pub fn measure(meter: &mut dyn Meter, candidates: &[usize], budget: Budget) -> Measurements {
    let mut found = vec![None; candidates.len()];
    let (mut left, mut warm) = (budget.kernels, false);
    for first in (0..candidates.len()).step_by(TOGETHER) {
        let contests = first..candidates.len().min(first + TOGETHER);
        if left.is_zero() || meter.elapsed() >= budget.wall || meter.prepare(contests.clone()).is_err() {
            break;
        }
        if !std::mem::replace(&mut warm, true) {
            warm_up(meter, first, budget.wall);
        }
        for contest in contests {
            found[contest] = settle(meter, contest, candidates[contest], budget.wall, &mut left);
        }
    }
    found
}

/// Runs one variant until the clock has come up. These times mean nothing and do not count.
fn warm_up(meter: &mut dyn Meter, contest: usize, wall: Duration) {
    let mut spent = Duration::ZERO;
    while spent < WARM_UP && meter.elapsed() < wall {
        match meter.time(contest, 0) {
            Ok(time) => spent += time.max(Duration::from_micros(1)),
            Err(_) => return,
        }
    }
}

/// The fastest of a contest's variants; `None` if there was no time for two rounds, or if the one by design fails.
fn settle(
    meter: &mut dyn Meter,
    contest: usize,
    candidates: usize,
    wall: Duration,
    left: &mut Duration,
) -> Option<usize> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); candidates];
    let mut running: Vec<usize> = (0..candidates).collect();
    for round in 0..ROUNDS {
        // The first launch touches the memory.
        if round == 0 {
            running.retain(|&variant| meter.time(contest, variant).is_ok());
        }
        for &variant in &running {
            if left.is_zero() || meter.elapsed() >= wall {
                return None;
            }
            let time = meter.time(contest, variant).ok()?;
            *left = left.saturating_sub(time);
            times[variant].push(time.as_secs_f64());
        }
        let best = running.iter().map(|&variant| median(&times[variant])).fold(f64::INFINITY, f64::min);
        let hopeless = if round == 0 { HOPELESS } else { CLEAR };
        running.retain(|&variant| median(&times[variant]) <= hopeless * best);
        if running.len() < 2 && round > 0 {
            break;
        }
    }
    running.into_iter().min_by(|&a, &b| median(&times[a]).total_cmp(&median(&times[b])))
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// A device on which variant `v` of any contest takes `milliseconds[v]`, and four times as long until its clock has come
    /// up.
    struct Scripted {
        milliseconds: Vec<f64>,
        busy: Duration,
        prepared: Vec<Range<usize>>,
        calls: Vec<(usize, usize)>,
        broken: Option<usize>,
    }

    impl Scripted {
        fn new(milliseconds: &[f64]) -> Scripted {
            let (busy, prepared, calls) = (Duration::ZERO, Vec::new(), Vec::new());
            Scripted { milliseconds: milliseconds.to_vec(), busy, prepared, calls, broken: None }
        }
    }

    impl Meter for Scripted {
        fn prepare(&mut self, contests: Range<usize>) -> Result<()> {
            self.prepared.push(contests);
            Ok(())
        }

        fn time(&mut self, contest: usize, variant: usize) -> Result<Duration> {
            if self.broken == Some(variant) {
                return Err(Error::device("it is broken"));
            }
            let cold = if self.busy < Duration::from_millis(200) { 4.0 } else { 1.0 };
            let time = Duration::from_secs_f64(cold * self.milliseconds[variant] / 1e3);
            self.busy += time;
            self.calls.push((contest, variant));
            Ok(time)
        }

        fn elapsed(&self) -> Duration {
            self.busy
        }
    }

    #[test]
    fn a_cold_clock_does_not_make_the_first_candidate_lose() {
        let mut device = Scripted::new(&[1.0, 1.5, 2.5]);
        assert_eq!(measure(&mut device, &[3, 3], Budget::default()), [Some(0), Some(0)]);
        let mut device = Scripted::new(&[1.0, 0.8, 0.9]);
        assert_eq!(measure(&mut device, &[3, 3], Budget::default()), [Some(1), Some(1)]);
    }

    #[test]
    fn with_time_for_half_of_them_half_are_measured() {
        // Each contest is decided after two rounds of two variants; the second variant is out after one: 3 ms.
        let budget = |contests: u64| Budget { kernels: Duration::from_millis(6 * contests), ..Budget::default() };
        for (milliseconds, known) in [(0, 0), (5, 5), (10, 10), (20, 10)] {
            let found = measure(&mut Scripted::new(&[1.0, 4.0]), &[2; 10], budget(milliseconds));
            assert_eq!(found.iter().flatten().count(), known, "{found:?}");
            assert!(found[..known].iter().all(|place| *place == Some(0)), "the first ones are measured");
        }
    }

    #[test]
    fn variants_take_turns_until_it_is_clear() {
        let mut device = Scripted::new(&[1.0, 1.1, 10.0]);
        assert_eq!(measure(&mut device, &[3], Budget::default()), [Some(0)]);
        let after_warm_up: Vec<usize> =
            device.calls.iter().map(|(_, variant)| *variant).skip_while(|v| *v == 0).collect();
        assert_eq!(after_warm_up, [1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1], "the third is out after a round");
    }

    #[test]
    fn contests_are_made_ready_a_few_at_a_time_and_only_in_time() {
        let mut device = Scripted::new(&[1.0, 4.0]);
        measure(&mut device, &[2; 20], Budget::default());
        assert_eq!(device.prepared, [0..8, 8..16, 16..20]);
        let mut device = Scripted::new(&[100.0, 400.0]);
        let found = measure(&mut device, &[2; 20], Budget { wall: Duration::from_secs(3), ..Budget::default() });
        assert!(found[0].is_some() && found[19].is_none() && device.prepared.len() < 3, "{found:?}");
    }

    #[test]
    fn a_variant_that_fails_is_out() {
        let mut device = Scripted { broken: Some(1), ..Scripted::new(&[2.0, 1.0, 1.5]) };
        assert_eq!(measure(&mut device, &[3], Budget::default()), [Some(2)]);
    }
}
