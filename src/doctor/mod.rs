//! Checks that a device computes correctly: every kernel against its CPU twin, a whole model against PyTorch, and the same
//! training twice. It also measures memory and speed. `cloze doctor` shows the results; `vetting` uses the same checks when a
//! GPU is opened, and the kernel tests use them too.

pub mod golden;
pub mod limits;
pub mod repeat;
pub mod report;

use crate::Result;
use crate::device::parity::Parity;
use crate::device::record::Record;
use crate::device::{Device, DeviceChoice, speed, vetting};
use crate::exec::gpu::{self, Gpu};
use crate::kernels::{Precision, kernels_of};
use golden::Golden;
use limits::Limits;
use report::Examination;

/// Every adapter that wgpu reaches, then the CPU.
///
/// # Errors
/// As [`gpu::adapters`].
pub fn every_device() -> Result<Vec<DeviceChoice>> {
    let gpus = (0..gpu::adapters()?.len()).map(DeviceChoice::Index);
    Ok(gpus.chain([DeviceChoice::Cpu]).collect())
}

/// Examines a device. What stops the examination, such as a driver that fails, is part of the result.
pub fn examine(choice: &DeviceChoice) -> Examination {
    let mut examination = Examination::new(choice);
    if let Err(error) = examination.look(choice) {
        examination.problems.push(error.to_string());
        examination.remedy = error.remedy();
    }
    examination.passed = examination.failures() == 0;
    examination
}

impl Examination {
    fn look(&mut self, choice: &DeviceChoice) -> Result<()> {
        let mut device = Device::open_unvetted(choice)?;
        self.description = device.describe();
        log::info!("checking {}", self.description);
        if let Device::Gpu(gpu) = &mut device {
            self.check_kernels(gpu)?;
            self.description = device.describe();
        }
        self.limits = Some(Limits::of(&device));
        let golden = Golden::embedded()?;
        self.golden = golden.check(&device)?;
        self.repeat = Some(repeat::check(&golden, &device)?);
        self.speed = Some(speed::measure(&device)?);
        if let Device::Gpu(gpu) = &device {
            self.measured_shapes = Some(Record::of(gpu).measured());
        }
        Ok(())
    }

    /// Checks every variant of every kernel that the device offers, in f32, and in f16 if it has that. Notes the results, so
    /// that later starts do not use the variants that failed.
    fn check_kernels(&mut self, gpu: &mut Gpu) -> Result<()> {
        let mut record = Record::of(gpu);
        let precisions = [Precision::F32, Precision::F16].into_iter();
        let offered: Vec<Precision> = precisions.filter(|&precision| gpu.check_precision(precision).is_ok()).collect();
        for (precision, kernel) in offered.iter().flat_map(|&p| kernels_of(p).map(move |kernel| (p, kernel))) {
            let parity = Parity::new(kernel, precision)?;
            for (place, variant) in kernel.variants.iter().enumerate() {
                if !gpu.offers(variant) || !variant.computes_in(precision) {
                    continue;
                }
                let finding = vetting::check(gpu, |gpu| parity.check(gpu, place, false))?;
                record.note(kernel, variant, precision, finding.verdict());
                if !finding.passed {
                    vetting::pass_over(gpu, kernel, variant, precision);
                }
                self.kernels.push(finding);
            }
        }
        record.keep();
        Ok(())
    }
}
