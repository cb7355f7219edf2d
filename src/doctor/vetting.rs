//! Opening a GPU for work that is to be trusted: what it would run is checked once, and what gives wrong answers is passed
//! over.

use super::parity::{Finding, Parity};
use super::record::{Record, Verdict};
use crate::exec::gpu::Gpu;
use crate::kernels::{Elem, KERNELS, Kernel, Precision, Variant};
use crate::{Error, Result};

/// Opens an adapter. The variants that suit it are checked against the CPU twins, unless the record has them from an
/// earlier start; for one that fails the reference stands in.
///
/// # Errors
/// The driver refuses, or a kernel's reference gives wrong answers too.
pub fn open(adapter: &wgpu::Adapter) -> Result<Gpu> {
    let gpu = Gpu::open(adapter)?;
    vet(gpu, Precision::F32)
}

/// Checks an open GPU's kernels, in the form that launches of this precision run, as [`open`] does.
///
/// # Errors
/// As [`open`]; the device can't store numbers in this precision.
pub fn vet(gpu: Gpu, precision: Precision) -> Result<Gpu> {
    gpu.check_precision(precision)?;
    Vetting { record: Record::of(&gpu), gpu, precision, checked: false }.run()
}

/// The kernels that have a form of their own in a precision.
pub(super) fn kernels_of(precision: Precision) -> impl Iterator<Item = &'static Kernel> {
    let differs = |kernel: &Kernel| kernel.args.iter().any(|arg| arg.elem == Elem::real);
    KERNELS.iter().copied().filter(move |kernel| precision == Precision::F32 || differs(kernel))
}

struct Vetting {
    gpu: Gpu,
    record: Record,
    precision: Precision,
    /// Whether anything had to be checked.
    checked: bool,
}

impl Vetting {
    fn run(mut self) -> Result<Gpu> {
        for kernel in kernels_of(self.precision) {
            self.settle(kernel)?;
        }
        if self.checked {
            self.record.keep();
        }
        Ok(self.gpu)
    }

    /// Finds a variant of the kernel that gives right answers.
    fn settle(&mut self, kernel: &'static Kernel) -> Result<()> {
        let (suited, reference) = (self.gpu.variant(kernel, self.precision), kernel.reference());
        if self.verdict(kernel, suited)? == Verdict::Passed {
            return Ok(());
        }
        pass_over(&mut self.gpu, kernel, suited, self.precision);
        if suited.name != reference.name && self.verdict(kernel, reference)? == Verdict::Passed {
            return Ok(());
        }
        Err(Error::Device(format!(
            "the kernel `{}` fails its check on {}; update its driver, or take --device cpu (`cloze doctor` tells \
             more, and looks again)",
            kernel.name,
            self.gpu.describe()
        )))
    }

    /// From the record, or by a check that is short enough for a start.
    fn verdict(&mut self, kernel: &'static Kernel, variant: &Variant) -> Result<Verdict> {
        if let Some(verdict) = self.record.verdict(kernel, variant, self.precision) {
            return Ok(verdict);
        }
        if !std::mem::replace(&mut self.checked, true) {
            log::info!("checking the kernels on {}, once for this driver", self.gpu.describe());
        }
        let place = kernel.variants.iter().position(|known| known.name == variant.name);
        let finding = Parity::at_a_glance(kernel, self.precision)?.check(&self.gpu, place.unwrap_or_default(), false);
        if !finding.passed {
            self.gpu = self.gpu.reopen()?;
            finding.problems.iter().for_each(|problem| log::debug!("{problem}"));
        }
        self.record.note(kernel, variant, self.precision, finding.verdict());
        Ok(finding.verdict())
    }
}

impl Finding {
    pub(super) fn verdict(&self) -> Verdict {
        if self.passed { Verdict::Passed } else { Verdict::Failed }
    }
}

/// Has the reference stand in for a variant that the GPU would run, and says so.
pub(super) fn pass_over(gpu: &mut Gpu, kernel: &'static Kernel, variant: &Variant, precision: Precision) {
    if variant.name != gpu.variant(kernel, precision).name || variant.name == kernel.reference().name {
        return;
    }
    log::warn!(
        "the kernel `{}` fails its check as `{}` on {}; `{}` stands in",
        kernel.name,
        variant.name,
        gpu.describe(),
        kernel.reference().name
    );
    gpu.pass_over(kernel, variant, precision);
}
