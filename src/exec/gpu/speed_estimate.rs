//! How much work to put into a submission, from how long earlier ones took. Windows resets a GPU whose work runs over two
//! seconds, and other users of a shared device should get their turn; but each submission costs the host time.

use crate::exec::Cost;
use std::time::{Duration, Instant};

/// The default time for a submission. It stays below 0.1 s even if the estimate is somewhat off.
pub const USUAL: Duration = Duration::from_millis(80);
/// Below this many seconds of work, a submission says more about the cost of submitting than about speed.
const TELLING: f64 = 8e-4;
/// The most that one observation may raise the estimated speed by. A lower speed is believed at once.
const GROWTH: f64 = 4.0;
/// If a wait was shorter than this, the submission had already ended.
const BLOCKED: Duration = Duration::from_micros(100);

/// The estimated speed of a device.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpeedEstimate {
    /// How long a submission should take, in seconds.
    target: f64,
    flops_per_second: f64,
    bytes_per_second: f64,
    /// When the last submission ended; known only if the host was waiting for it.
    ended: Option<Instant>,
}

/// The seconds that some dispatches should take: those limited by arithmetic, and those limited by memory traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Work {
    computing: f64,
    moving: f64,
}

impl Work {
    fn seconds(&self) -> f64 {
        self.computing + self.moving
    }
}

/// What the host observed of a submission that has ended.
#[derive(Clone, Copy)]
pub(super) struct Observation {
    pub work: Work,
    pub submitted: Instant,
    /// Whether nothing was in flight before it.
    pub alone: bool,
    pub waiting_since: Instant,
    /// When the host saw that it had ended.
    pub ended: Instant,
}

impl SpeedEstimate {
    /// Starts slower than any device, so that the first submission is short. Later ones should take `target`.
    pub fn new(target: Duration) -> Self {
        SpeedEstimate { target: target.as_secs_f64(), flops_per_second: 1e9, bytes_per_second: 1e9, ended: None }
    }

    /// How many of the dispatches with these costs the next submission takes, and how long they should take: at least one
    /// dispatch, then as many as should end in time.
    pub fn batch(&self, costs: impl Iterator<Item = Cost>) -> (usize, Work) {
        let (mut count, mut sum) = (0, Work::default());
        for cost in costs {
            let with = self.add(sum, cost);
            if count > 0 && with.seconds() > self.target {
                break;
            }
            (count, sum) = (count + 1, with);
        }
        (count, sum)
    }

    fn add(&self, sum: Work, cost: Cost) -> Work {
        let computing = cost.flops as f64 / self.flops_per_second;
        let moving = cost.bytes as f64 / self.bytes_per_second;
        match computing > moving {
            true => Work { computing: sum.computing + computing, ..sum },
            false => Work { moving: sum.moving + moving, ..sum },
        }
    }

    /// Learns from a submission. Submissions must come in their order.
    pub fn learn(&mut self, seen: Observation) {
        let blocked = seen.ended - seen.waiting_since > BLOCKED;
        let before = std::mem::replace(&mut self.ended, blocked.then_some(seen.ended));
        let guess = seen.work.seconds();
        if guess < TELLING {
            return;
        }
        // If the begin or the end is not known, this is the longest time that it can have taken.
        let known = blocked && (seen.alone || before.is_some());
        let began = before.map_or(seen.submitted, |before| before.max(seen.submitted));
        let took = (seen.ended - began).as_secs_f64().max(1e-6);
        if known || took < guess {
            let faster = (guess / took).min(GROWTH);
            self.flops_per_second *= faster.powf(seen.work.computing / guess);
            self.bytes_per_second *= faster.powf(seen.work.moving / guess);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: f64 = 0.08;
    const PRODUCT: Cost = Cost { flops: 1_000_000_000, bytes: 10_000_000 };
    const COPY: Cost = Cost { flops: 1_000_000, bytes: 100_000_000 };

    /// A device of some speed that runs submissions of `launches` by the estimate. It gives how many there were, and the
    /// longest.
    struct Simulation {
        estimate: SpeedEstimate,
        now: Instant,
        flops_per_second: f64,
        bytes_per_second: f64,
    }

    impl Simulation {
        fn new(flops_per_second: f64, bytes_per_second: f64) -> Self {
            Simulation { estimate: SpeedEstimate::new(USUAL), now: Instant::now(), flops_per_second, bytes_per_second }
        }

        /// How many seconds each submission took.
        fn run(&mut self, mut launches: &[Cost]) -> Vec<f64> {
            let (mut lengths, mut submitted) = (Vec::new(), self.now);
            while !launches.is_empty() {
                let (count, work) = self.estimate.batch(launches.iter().copied());
                let seconds = |cost: &Cost| {
                    (cost.flops as f64 / self.flops_per_second).max(cost.bytes as f64 / self.bytes_per_second)
                };
                let took: f64 = launches[..count].iter().map(seconds).sum();
                let (waiting_since, alone) = (self.now, lengths.is_empty());
                self.now += Duration::from_secs_f64(took);
                self.estimate.learn(Observation { work, submitted, alone, waiting_since, ended: self.now });
                (submitted, launches) = (waiting_since, &launches[count..]);
                lengths.push(took);
            }
            lengths
        }
    }

    #[test]
    fn submissions_come_to_the_target_on_any_device() {
        // llvmpipe, a laptop, a large GPU.
        for (flops, bytes) in [(2e9, 5e9), (1e12, 5e10), (5e13, 2e12)] {
            for cost in [PRODUCT, COPY] {
                let launches = vec![cost; 400_000];
                let lengths = Simulation::new(flops, bytes).run(&launches[..(flops / 5e8) as usize * 4]);
                let longest = lengths.iter().fold(0.0, |most: f64, &length| most.max(length));
                let alone = (cost.flops as f64 / flops).max(cost.bytes as f64 / bytes);
                assert!(longest <= TARGET.max(alone) * 1.01, "{flops} {bytes}: {longest}");
                let last = lengths[lengths.len() - 2];
                assert!(last > 0.6 * TARGET - alone, "{flops} {bytes}: {last} of {} submissions", lengths.len());
            }
        }
    }

    #[test]
    fn memory_and_arithmetic_are_learnt_apart() {
        let mut device = Simulation::new(1e12, 1e10);
        device.run(&[vec![PRODUCT; 2000], vec![COPY; 2000]].concat());
        let (products, _) = device.estimate.batch(std::iter::repeat_n(PRODUCT, 1000));
        let (copies, _) = device.estimate.batch(std::iter::repeat_n(COPY, 1000));
        assert!((70..=81).contains(&products) && (6..=8).contains(&copies), "{products} and {copies}");
    }

    #[test]
    fn a_device_that_slows_down_is_believed_at_once() {
        let mut device = Simulation::new(1e12, 1e12);
        device.run(&vec![PRODUCT; 2000]);
        device.flops_per_second /= 10.0;
        let lengths = device.run(&vec![PRODUCT; 300]);
        assert!(lengths[0] > 5.0 * TARGET && lengths[1..].iter().all(|&length| length <= 1.01 * TARGET), "{lengths:?}");
    }

    #[test]
    fn a_launch_that_is_too_long_goes_alone() {
        let huge = Cost { flops: 1 << 50, bytes: 0 };
        let estimate = SpeedEstimate::new(USUAL);
        assert_eq!(estimate.batch([huge, huge].into_iter()).0, 1);
        assert_eq!(estimate.batch([Cost::default(), huge].into_iter()).0, 1);
        assert_eq!(estimate.batch(std::iter::empty()).0, 0);
    }

    #[test]
    fn time_that_the_host_spent_elsewhere_counts_for_nothing() {
        let mut estimate = SpeedEstimate::new(USUAL);
        let fresh = estimate.clone();
        let (_, work) = estimate.batch([PRODUCT].into_iter());
        let submitted = Instant::now();
        let late = submitted + Duration::from_secs(60);
        estimate.learn(Observation { work, submitted, alone: true, waiting_since: late, ended: late });
        assert_eq!(estimate, fresh);
    }
}
