//! Opening a GPU for work that is to be trusted: what it would run is checked once, and what gives wrong answers is passed
//! over.

use super::parity::{Finding, Parity};
use super::record::{Record, Verdict};
use crate::exec::gpu::Gpu;
use crate::kernels::{KERNELS, Kernel, Variant};
use crate::{Error, Result};

/// Opens an adapter. Every variant that it can run is checked against the CPU twins, unless the record has it from an earlier
/// start; one that fails is never chosen.
///
/// # Errors
/// The driver refuses, or a kernel's reference gives wrong answers too.
pub fn open(adapter: &wgpu::Adapter) -> Result<Gpu> {
    let mut gpu = Gpu::open(adapter)?;
    gpu.keep_pipelines();
    gpu.choose_by_speed();
    Vetting { record: Record::of(&gpu), gpu, checked: false }.run()
}

struct Vetting {
    gpu: Gpu,
    record: Record,
    /// Whether anything had to be checked.
    checked: bool,
}

impl Vetting {
    fn run(mut self) -> Result<Gpu> {
        for &kernel in KERNELS {
            self.settle(kernel)?;
        }
        if self.checked {
            self.record.keep();
        }
        Ok(self.gpu)
    }

    /// Passes over what gives wrong answers.
    fn settle(&mut self, kernel: &'static Kernel) -> Result<()> {
        for variant in kernel.variants {
            if self.gpu.offers(variant) && self.verdict(kernel, variant)? == Verdict::Failed {
                if variant.name == kernel.reference().name {
                    return Err(Error::Device(format!(
                        "the kernel `{}` fails its check on {}; update its driver, or take --device cpu (`cloze doctor` \
                         tells more, and looks again)",
                        kernel.name,
                        self.gpu.describe()
                    )));
                }
                pass_over(&mut self.gpu, kernel, variant);
            }
        }
        Ok(())
    }

    /// From the record, or by a check that is short enough for a start.
    fn verdict(&mut self, kernel: &'static Kernel, variant: &Variant) -> Result<Verdict> {
        if let Some(verdict) = self.record.verdict(kernel, variant) {
            return Ok(verdict);
        }
        if !std::mem::replace(&mut self.checked, true) {
            log::info!("checking the kernels on {}, once for this driver", self.gpu.describe());
        }
        let place = kernel.variants.iter().position(|known| known.name == variant.name);
        let finding = Parity::at_a_glance(kernel)?.check(&self.gpu, place.unwrap_or_default(), false);
        if !finding.passed {
            self.gpu = self.gpu.reopen()?;
            finding.problems.iter().for_each(|problem| log::debug!("{problem}"));
        }
        self.record.note(kernel, variant, finding.verdict());
        Ok(finding.verdict())
    }
}

impl Finding {
    pub(super) fn verdict(&self) -> Verdict {
        if self.passed { Verdict::Passed } else { Verdict::Failed }
    }
}

/// Has a variant never run, and says so where it would be the first choice.
pub(super) fn pass_over(gpu: &mut Gpu, kernel: &'static Kernel, variant: &Variant) {
    let reference = kernel.reference().name;
    if variant.name != reference && variant.name == gpu.variant(kernel).name {
        log::warn!(
            "the kernel `{}` fails its check as `{}` on {}; `{reference}` stands in",
            kernel.name,
            variant.name,
            gpu.describe(),
        );
    }
    if variant.name != reference {
        gpu.pass_over(kernel, variant);
    }
}
