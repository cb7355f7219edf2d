//! Times kernels one by one, at the sizes of a model or at sizes that the user gives.

use super::Timing;
use super::shape::{BenchShape, case};
use crate::device::Device;
use crate::device::launches::Launches;
use crate::device::speed;
use crate::exec::Speed;
use crate::kernels::{KERNELS, Kernel, Precision, Variant};
use crate::settings::unknown;
use crate::{Error, Remedy, Result};
use serde::Serialize;
use std::fmt;

/// How many timed runs each kernel gets.
const SAMPLES: usize = 9;
/// Launches per run; the first of these numbers whose run takes long enough is used.
const LAUNCHES: [u64; 4] = [1, 16, 256, 4096];

/// The kernel with a name.
///
/// # Errors
/// There is no such kernel; the message suggests the one that was probably meant.
pub fn find(name: &str) -> Result<&'static Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.name == name).ok_or_else(|| {
        let names: Vec<&str> = [name].into_iter().chain(KERNELS.iter().map(|kernel| kernel.name)).collect();
        Error::device(unknown("kernel", &names))
    })
}

/// What was measured for a variant of a kernel. The field names stay the same from version to version.
#[derive(Clone, Debug, Serialize)]
pub struct KernelReport {
    pub kernel: &'static str,
    /// The variant's name; "twin" on the CPU.
    pub variant: &'static str,
    /// How its `real` arguments are stored.
    pub precision: Precision,
    pub shape: String,
    /// The time of a launch, in milliseconds.
    pub timing_ms: Timing,
    /// 10⁹ floating-point operations per second, counted as the kernel declares them.
    pub gflops: f64,
    /// 10⁹ bytes per second, counting the bytes that it must move at least.
    pub gbytes_per_second: f64,
    /// `gflops` as a share of the device's measured peak in f32 multiply-adds, also for f16, so matrix units may exceed 1.
    pub of_peak: f64,
    /// `gbytes_per_second` as a share of the device's measured speed of copying.
    pub of_copy: f64,
}

/// A device, and its peak speed.
pub struct KernelBench {
    device: Device,
    precision: Precision,
    pub peak: Speed,
}

impl KernelBench {
    /// For kernels that store in this precision. Measures how fast the device copies and multiplies.
    ///
    /// # Errors
    /// The device does not have the precision, gives wrong answers in it, or fails.
    pub fn new(device: Device, precision: Precision) -> Result<Self> {
        if matches!(device, Device::Cpu) && precision == Precision::F16 {
            let problem = "the CPU only imitates half precision, to check GPUs by";
            return Err(Error::device(problem).with(Remedy::GpuOrFullPrecision));
        }
        let device = device.ready_for(precision)?;
        let peak = speed::measure(&device)?;
        Ok(KernelBench { device, precision, peak })
    }

    /// The variants of a kernel that can compute a launch of this shape on this device, and give correct results. Each has its
    /// place in the declaration (`None` on the CPU) and its name. Others are left out, since the reference would run in their
    /// place and be timed under their name.
    ///
    /// # Errors
    /// As [`case`].
    pub fn variants(&self, kernel: &Kernel, shape: &BenchShape) -> Result<Vec<(Option<usize>, &'static str)>> {
        let case = case(kernel, shape)?;
        Ok(match &self.device {
            Device::Cpu => vec![(None, "twin")],
            Device::Gpu(gpu) => {
                let trusted = |variant: &Variant| gpu.trusts(kernel, variant, self.precision);
                let runs = |variant: &Variant| trusted(variant) && variant.suits(&case.params, self.precision);
                let variants = kernel.variants.iter().enumerate().filter(|(_, variant)| runs(variant));
                variants.map(|(at, variant)| (Some(at), variant.name)).collect()
            }
        })
    }

    /// Times a variant.
    ///
    /// # Errors
    /// As [`case`]; the device fails, or is too small.
    pub fn measure(
        &self,
        kernel: &'static Kernel,
        (place, variant): (Option<usize>, &'static str),
        shape: &BenchShape,
    ) -> Result<KernelReport> {
        let case = case(kernel, shape)?;
        let runs = LAUNCHES.map(|count| (case.clone(), count));
        let mut launches = Launches::new(&self.device, place, kernel, self.precision, &runs)?;
        let (times, _) = launches.times(SAMPLES)?;
        let (timing, precision) = (Timing::of(times), launches.precision);
        let (flops, bytes) = ((kernel.flops)(&case.params), kernel.bytes(&case.params, case.present(), precision));
        let [flops, bytes] = [flops, bytes].map(|work| work as f64 / (timing.median / 1e3));
        Ok(KernelReport {
            kernel: kernel.name,
            variant,
            precision,
            shape: shape.to_string(),
            timing_ms: timing,
            gflops: flops / 1e9,
            gbytes_per_second: bytes / 1e9,
            of_peak: flops / self.peak.flops_per_second,
            of_copy: bytes / self.peak.bytes_per_second,
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl KernelReport {
    /// The headings of the columns that `Display` writes.
    pub fn heads() -> String {
        format!(
            "{:<44}{:>10}{:>9}{:>10}{:>8}{:>9}{:>8}",
            "kernel, variant, shape", "ms", "spread", "GFLOP/s", "of peak", "GB/s", "of copy"
        )
    }
}

impl fmt::Display for KernelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = if self.precision == Precision::F16 { " f16" } else { "" };
        let name = format!("{} {} {}{half}", self.kernel, self.variant, self.shape);
        let [spread, peak, copy] = [self.timing_ms.spread, self.of_peak, self.of_copy].map(|share| 100.0 * share);
        write!(
            f,
            "{name:<44}{:>10.3}{spread:>7.1} %{:>10.1}{peak:>6.1} %{:>9.1}{copy:>6.1} %",
            self.timing_ms.median, self.gflops, self.gbytes_per_second
        )
    }
}
