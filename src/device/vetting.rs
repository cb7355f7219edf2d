//! Opens a GPU for work that has to be right. The kernels that it would run are checked once, and those with wrong results are
//! not used.

use super::parity::{Finding, Parity};
use super::record::{Record, Verdict};
use super::stress;
use crate::exec::gpu::Gpu;
use crate::kernels::{Kernel, Precision, Variant, find_variant, kernels_of};
use crate::{Error, Remedy, Result};

/// Opens an adapter. Every variant that it can run is checked against the CPU twins, unless an earlier process recorded the
/// result; one that fails is never chosen.
///
/// # Errors
/// The driver refuses, or a kernel's reference gives wrong results too.
pub fn open(adapter: &wgpu::Adapter) -> Result<Gpu> {
    let mut gpu = Gpu::open(adapter)?;
    gpu.keep_pipelines();
    vet(gpu, Precision::F32)
}

/// Checks an open GPU's kernels, as [`open`] does, in the form for launches of this precision.
///
/// # Errors
/// As [`open`]; or the device can't store numbers in this precision.
pub fn vet(gpu: Gpu, precision: Precision) -> Result<Gpu> {
    gpu.check_precision(precision)?;
    Vetting { record: Record::of(&gpu), gpu, precision, checked: false }.run()
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

    /// Excludes variants with wrong results.
    fn settle(&mut self, kernel: &'static Kernel) -> Result<()> {
        let mut parity = None;
        for variant in kernel.variants {
            let runs = self.gpu.offers(variant) && variant.computes_in(self.precision);
            if runs && self.verdict(kernel, variant, &mut parity)? == Verdict::Failed {
                if variant.name == kernel.reference().name {
                    let (name, gpu) = (kernel.name, self.gpu.describe());
                    let problem = format!("the kernel `{name}` fails its check on {gpu}; update its driver");
                    return Err(Error::device(problem).with(Remedy::CpuOrExamination));
                }
                pass_over(&mut self.gpu, kernel, variant, self.precision);
            }
        }
        Ok(())
    }

    /// The verdict, from the record or from a check that is short enough for a start. `parity` holds the twin's results for the
    /// cases, from the first check of the kernel on.
    fn verdict(&mut self, kernel: &'static Kernel, variant: &Variant, parity: &mut Option<Parity>) -> Result<Verdict> {
        if let Some(verdict) = self.record.verdict(kernel, variant, self.precision) {
            return Ok(verdict);
        }
        if !std::mem::replace(&mut self.checked, true) {
            log::info!("checking the kernels on {}, once for this driver", self.gpu.describe());
        }
        let parity = match parity {
            Some(parity) => parity,
            None => parity.insert(Parity::at_a_glance(kernel, self.precision)?),
        };
        let finding = check(&mut self.gpu, |gpu| {
            let mut finding = parity.check(gpu, kernel.place(variant), false);
            if finding.passed && variant.matrices.is_some() {
                let stressed = stress::check(gpu, kernel, variant, self.precision);
                stressed.unwrap_or_else(|problem| finding.fail(problem));
            }
            finding
        })?;
        if !finding.passed {
            finding.problems.iter().for_each(|problem| log::debug!("{problem}"));
        }
        self.record.note(kernel, variant, self.precision, finding.verdict());
        Ok(finding.verdict())
    }
}

/// Checks a variant. If the device is lost, it opens the same adapter anew and checks again: a device may be lost for another
/// reason, so a variant is only blamed if it loses the device twice. After a failure the device is always a new one.
///
/// # Errors
/// The device was lost twice with a kernel's reference, or can't be opened anew.
pub fn check(gpu: &mut Gpu, look: impl Fn(&Gpu) -> Finding) -> Result<Finding> {
    let mut finding = look(gpu);
    if gpu.still_there().is_err() {
        *gpu = gpu.reopen()?;
        finding = look(gpu);
    }
    if !finding.passed {
        if finding.is_reference() {
            gpu.still_there()?;
        }
        *gpu = gpu.reopen()?;
    }
    Ok(finding)
}

impl Finding {
    fn is_reference(&self) -> bool {
        find_variant(&format!("{}/{}", self.kernel, self.variant))
            .is_some_and(|(kernel, _)| kernel.reference().name == self.variant)
    }

    /// What the record keeps of it for later processes.
    pub fn verdict(&self) -> Verdict {
        if self.passed { Verdict::Passed } else { Verdict::Failed }
    }
}

/// Makes sure that a variant never runs for this precision, and warns of it. A reference stays in use.
pub fn pass_over(gpu: &mut Gpu, kernel: &'static Kernel, variant: &Variant, precision: Precision) {
    let reference = kernel.reference().name;
    if variant.name != reference {
        log::warn!(
            "the kernel `{}` fails its check as `{}` on {}; other variants replace it",
            kernel.name,
            variant.name,
            gpu.describe(),
        );
        gpu.pass_over(kernel, variant, precision);
    }
}
