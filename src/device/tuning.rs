//! Which variant of a kernel is the fastest for the launches of a program: measured once for each shape that a device meets,
//! kept beside the verdicts on the kernels, and read at later starts. What there is no time for runs by design, and is measured
//! at the next start.

mod meter;
mod policy;

pub use policy::{Budget, Measurements, Meter, measure};

use super::record::Record;
use crate::exec::Program;
use crate::exec::gpu::{Gpu, Origin};
use crate::kernels::{Case, Fill, Kernel, Precision, Variant};
use meter::GpuMeter;
use std::collections::BTreeMap;

/// A shape of launches that several variants compute.
pub struct Contest {
    pub shape: String,
    kernel: &'static Kernel,
    case: Case,
    precision: Precision,
    /// The first is the one by design.
    variants: Vec<&'static Variant>,
    /// Floating-point operations of all launches of this shape.
    flops: u64,
}

/// Settles which variants run the launches of a program, for every executor of this device that comes after. Never fails: what
/// cannot be measured runs by design.
pub fn tune(gpu: &Gpu, program: &Program, budget: Budget) {
    let contests = contests(gpu, program);
    if contests.is_empty() {
        return;
    }
    let mut record = Record::of(gpu);
    let (known, mut unknown): (Vec<_>, Vec<_>) = contests
        .into_iter()
        .map(|contest| (record.fastest(contest.kernel, &contest.shape), contest))
        .partition(|(fastest, _)| fastest.is_some());
    for (fastest, contest) in known {
        fastest.into_iter().for_each(|variant| gpu.settle(contest.shape.clone(), variant, Origin::Measured));
    }
    if unknown.is_empty() {
        return;
    }
    unknown.sort_by_key(|(_, contest)| std::cmp::Reverse(contest.flops));
    let contests: Vec<Contest> = unknown.into_iter().map(|(_, contest)| contest).collect();
    let found = measure_on(gpu, &contests, budget);
    for (contest, place) in contests.iter().zip(&found) {
        let (variant, origin) = match place {
            Some(place) => (contest.variants[*place], Origin::Measured),
            None => (contest.variants[0], Origin::Design),
        };
        log::debug!("{}: {} ({origin:?})", contest.shape, variant.name);
        gpu.settle(contest.shape.clone(), variant, origin);
    }
    if found.iter().any(Option::is_some) {
        let measured = contests.iter().zip(found).filter_map(|(contest, place)| Some((contest, place?)));
        record.note_fastest(measured.map(|(contest, place)| (contest.shape.clone(), contest.variants[place])));
        record.keep();
    }
}

/// A device of their own bears the measurements, so that nothing that goes wrong in one is felt elsewhere.
fn measure_on(gpu: &Gpu, contests: &[Contest], budget: Budget) -> Measurements {
    let candidates: Vec<usize> = contests.iter().map(|contest| contest.variants.len()).collect();
    if budget.is_nothing() {
        return vec![None; contests.len()];
    }
    log::info!("measuring the kernels' variants at {} shapes, once for this driver", contests.len());
    measure(&mut GpuMeter::new(gpu, contests), &candidates, budget)
}

/// One for each shape whose variant is open.
fn contests(gpu: &Gpu, program: &Program) -> Vec<Contest> {
    let mut contests: BTreeMap<String, Contest> = BTreeMap::new();
    for (kernel, params, present, precision) in program.launches() {
        let shape = kernel.shape(params, present, precision);
        if let Some(contest) = contests.get_mut(&shape) {
            contest.flops += (kernel.flops)(params);
            continue;
        }
        let mut variants = gpu.candidates(kernel, params, precision);
        if variants.len() < 2 || gpu.settled(&shape).is_some() {
            continue;
        }
        let design = gpu.by_design(kernel, params, precision).name;
        variants.sort_by_key(|variant| variant.name != design);
        let given = |(place, fill)| if present >> place & 1 == 1 { fill } else { Fill::Absent };
        let fills = (kernel.typical)(params).into_iter().enumerate().map(given).collect();
        let case = Case { params: params.to_vec(), fills, exact: false };
        let flops = (kernel.flops)(params);
        contests.insert(shape.clone(), Contest { shape, kernel, case, precision, variants, flops });
    }
    contests.into_values().collect()
}
