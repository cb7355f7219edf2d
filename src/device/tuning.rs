//! Which variant of a kernel is the fastest for the launches of a program: measured the first time that a device meets a shape,
//! kept beside the verdicts on the kernels, and read at later starts, so that a run and its resumption compute the same.

use super::launches::Launches;
use super::record::Record;
use crate::Result;
use crate::exec::Program;
use crate::exec::gpu::Gpu;
use crate::kernels::{Case, Fill, Kernel, Precision, Variant};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time for all measurements of a program; what it does not suffice for stays with the variant that suits the device.
const BUDGET: Duration = Duration::from_secs(2);
/// Runs of a variant that count, of which the median is taken.
const SAMPLES: usize = 3;
/// A variant whose first run takes so much longer than the fastest's is not looked at again.
const HOPELESS: f64 = 3.0;

/// A shape of launches that several variants compute.
struct Contest {
    kernel: &'static Kernel,
    case: Case,
    precision: Precision,
    variants: Vec<&'static Variant>,
    /// Floating-point operations of all launches of this shape.
    flops: u64,
}

/// Settles which variants run the launches of a program, for every executor of this device that comes after. Never fails: what
/// cannot be measured stays as it is.
pub fn tune(gpu: &Gpu, program: &Program) {
    let contests = contests(gpu, program);
    if contests.is_empty() {
        return;
    }
    let mut record = Record::of(gpu);
    let unknown = contests.iter().filter(|(shape, contest)| record.fastest(contest.kernel, shape).is_none());
    let mut unknown: Vec<(&String, &Contest)> = unknown.collect();
    if !unknown.is_empty() {
        unknown.sort_by_key(|(_, contest)| std::cmp::Reverse(contest.flops));
        let measured = measure_all(gpu, &unknown);
        record.note_fastest(measured);
        record.keep();
    }
    for (shape, contest) in contests {
        if let Some(fastest) = record.fastest(contest.kernel, &shape) {
            gpu.choose(shape, fastest);
        }
    }
}

/// By shape.
fn contests(gpu: &Gpu, program: &Program) -> BTreeMap<String, Contest> {
    let mut contests = BTreeMap::new();
    for (kernel, params, present) in program.launches() {
        let variants = gpu.candidates(kernel, params, program.precision());
        if variants.len() < 2 {
            continue;
        }
        let contest = contests.entry(kernel.shape(params, present, program.precision())).or_insert_with(|| {
            let given = |(place, fill)| if present >> place & 1 == 1 { fill } else { Fill::Absent };
            let fills = (kernel.typical)(params).into_iter().enumerate().map(given).collect();
            let case = Case { params: params.to_vec(), fills, exact: false };
            Contest { kernel, case, precision: program.precision(), variants, flops: 0 }
        });
        contest.flops += (kernel.flops)(params);
    }
    contests
}

/// The winners. A device of their own bears the measurements, so that nothing that goes wrong in one is felt elsewhere.
fn measure_all(gpu: &Gpu, contests: &[(&String, &Contest)]) -> Vec<(String, &'static Variant)> {
    let start = Instant::now();
    log::info!("measuring the kernels' variants at {} shapes, once for this driver", contests.len());
    let mut device = gpu.reopen().ok();
    let mut winners = Vec::new();
    for (shape, contest) in contests {
        let default = {
            let (params, present) = (&contest.case.params, contest.case.present());
            gpu.variant_for(contest.kernel, params, present, contest.precision)
        };
        let left = BUDGET.saturating_sub(start.elapsed());
        let measured = match &device {
            Some(device) if !left.is_zero() => contest.measure(device, default, left),
            _ => Ok(default),
        };
        let winner = measured.unwrap_or_else(|error| {
            log::debug!("{shape}: {error}; it stays with {}", default.name);
            device = gpu.reopen().ok();
            default
        });
        log::debug!("{shape}: {}", winner.name);
        winners.push((shape.to_string(), winner));
    }
    log::debug!("measured in {:.2?}", start.elapsed());
    winners
}

impl Contest {
    /// The fastest variant, `default` where the time that is left does not suffice.
    fn measure(&self, gpu: &Gpu, default: &'static Variant, left: Duration) -> Result<&'static Variant> {
        let start = Instant::now();
        let mut best = (default, self.time(gpu, default, f64::INFINITY, left)?);
        for variant in self.variants.iter().filter(|variant| variant.name != default.name) {
            let left = left.saturating_sub(start.elapsed());
            let Some(fastest) = best.1 else { break };
            match self.time(gpu, variant, fastest, left)? {
                Some(seconds) if seconds < fastest => best = (variant, Some(seconds)),
                _ => {}
            }
        }
        Ok(best.0)
    }

    /// Seconds of a launch; `None` when it is hopeless beside the fastest so far, or takes too much of the time that is left.
    fn time(&self, gpu: &Gpu, variant: &Variant, fastest: f64, left: Duration) -> Result<Option<f64>> {
        let mut launches = Launches::of_variant(gpu, variant, self.kernel, self.precision, &self.case)?;
        let mut time = || launches.time_in_kernels(0).map(|time| time.as_secs_f64());
        let first = time()?; // The first touches the memory.
        if first > HOPELESS * fastest || first * SAMPLES as f64 > left.as_secs_f64() {
            return Ok(None);
        }
        let mut times = (0..SAMPLES).map(|_| time()).collect::<Result<Vec<_>>>()?;
        times.sort_by(f64::total_cmp);
        Ok(Some(times[SAMPLES / 2]))
    }
}
