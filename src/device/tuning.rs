//! Finds the fastest variant of a kernel for the launches of a program. Each shape that a device meets is measured once; the
//! results are kept beside the verdicts on the kernels and read by later processes. A shape without time left runs by design,
//! and is measured by the next process.

mod meter;
mod policy;

pub use policy::{Budget, Measurements, Meter, measure};

use super::record::Record;
use crate::exec::Program;
use crate::exec::gpu::{Gpu, Origin};
use crate::kernels::{Case, Fill, Kernel, Precision, Variant};
use meter::GpuMeter;
use std::collections::BTreeMap;

/// A shape of launches that several variants can compute.
pub struct Contest {
    pub shape: String,
    kernel: &'static Kernel,
    case: Case,
    precision: Precision,
    /// The candidates; the first is the one by design.
    variants: Vec<&'static Variant>,
    /// FLOP of all launches of this shape.
    flops: u64,
}

/// Settles which variants run the launches of a program, for all later executors of this device. It never fails: a shape that
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

/// Measurements use a device of their own, so that their failures affect nothing else.
fn measure_on(gpu: &Gpu, contests: &[Contest], budget: Budget) -> Measurements {
    let candidates: Vec<usize> = contests.iter().map(|contest| contest.variants.len()).collect();
    if budget.is_nothing() {
        return vec![None; contests.len()];
    }
    log::info!("measuring the kernels' variants at {} shapes, once for this driver", contests.len());
    measure(&mut GpuMeter::new(gpu, contests), &candidates, budget)
}

/// One contest for each shape whose variant is open.
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
