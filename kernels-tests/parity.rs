//! Every kernel, variant and case on every adapter, with bounds checks and without, against the CPU twin.

use crate::adapter::{computes_in, gpus, offered, skip};
use crate::broken::sabotaged;
use cloze::device::parity::Parity;
use cloze::device::probes::PROBES;
use cloze::exec::gpu::Gpu;
use cloze::kernels::{KERNELS, Kernel, Precision, kernels_of};
use rayon::prelude::*;

#[test]
fn every_kernel_agrees_with_its_twin() {
    let chosen = std::env::var("CLOZE_KERNEL").ok();
    let all = KERNELS.iter().chain(PROBES);
    let kernels: Vec<&'static Kernel> =
        all.copied().filter(|k| chosen.as_ref().is_none_or(|name| name == k.name)).collect();
    assert!(!kernels.is_empty(), "CLOZE_KERNEL names no kernel: {chosen:?}");
    for gpu in gpus("parity") {
        // Most of the time is spent compiling, which drivers do on the calling thread.
        let failures: Vec<String> = kernels.par_iter().filter_map(|kernel| check(gpu, kernel).err()).collect();
        assert!(failures.is_empty(), "{}\n{}", gpu.describe(), failures.join("\n"));
        let lacking = |precision| kernels.iter().flat_map(move |kernel| offered(gpu, kernel, precision).1);
        let mut lacking: Vec<String> = lacking(Precision::F32).chain(lacking(Precision::F16)).collect();
        lacking.sort();
        lacking.dedup();
        if !lacking.is_empty() {
            skip("parity", format!("{} lacks what these variants need: {}", gpu.describe(), lacking.join(", ")));
        }
    }
}

/// The check at the start of a process catches a mistake in any variant, though it only runs some of the cases.
#[test]
fn a_glance_sees_what_is_wrong() {
    for gpu in gpus("a glance") {
        for precision in [Precision::F32, Precision::F16].into_iter().filter(|p| computes_in(gpu, *p, "a glance")) {
            kernels_of(precision).for_each(|kernel| check_glance(gpu, kernel, precision));
        }
    }
}

fn check_glance(gpu: &Gpu, kernel: &'static Kernel, precision: Precision) {
    let glance = Parity::at_a_glance(kernel, precision).unwrap();
    let spoilt = Parity::at_a_glance(sabotaged(kernel), precision).unwrap();
    for (place, _) in offered(gpu, kernel, precision).0 {
        assert!(glance.check(gpu, place, false).passed, "{} in {precision:?}", kernel.name);
        assert!(!spoilt.check(gpu, place, false).passed, "{} in {precision:?}", kernel.name);
    }
}

/// All problems of a kernel on an adapter, one line each.
pub fn check(gpu: &Gpu, kernel: &'static Kernel) -> Result<(), String> {
    let mut problems: Vec<String> = check_in(gpu, kernel, Precision::F32).err().into_iter().collect();
    if kernel.stores_reals() && computes_in(gpu, Precision::F16, kernel.name) {
        problems.extend(check_in(gpu, kernel, Precision::F16).err());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn check_in(gpu: &Gpu, kernel: &'static Kernel, precision: Precision) -> Result<(), String> {
    let parity = Parity::new(kernel, precision).map_err(|error| format!("{}: {error}", kernel.name))?;
    let mut problems = Vec::new();
    for (place, variant) in offered(gpu, kernel, precision).0 {
        // Bounds checks are run in one precision only: the text is the same in the other, and compiling takes most of the time.
        let both = precision == Precision::F32 || !variant.computes_in(Precision::F32);
        for (checked, checks) in [(false, "unchecked"), (true, "checked")].into_iter().filter(|(c, _)| both || !c) {
            let finding = parity.check(gpu, place, checked);
            assert_eq!(finding.passed, finding.problems.is_empty() && finding.worst <= 1.0, "{finding:?}");
            problems.extend(finding.problems.iter().map(|problem| format!("{problem} ({} {checks})", variant.name)));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}
