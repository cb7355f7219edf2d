//! Kernels, timed one by one at the sizes of a model or at sizes of one's own.

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

/// Timed runs of each kernel.
const SAMPLES: usize = 9;
/// Launches of a run: the first that takes long enough is timed.
const LAUNCHES: [u64; 4] = [1, 16, 256, 4096];

/// The kernel of a name.
///
/// # Errors
/// There is none; the message has the one that was probably meant.
pub fn find(name: &str) -> Result<&'static Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.name == name).ok_or_else(|| {
        let names: Vec<&str> = [name].into_iter().chain(KERNELS.iter().map(|kernel| kernel.name)).collect();
        Error::device(unknown("kernel", &names))
    })
}

/// What was measured of a variant of a kernel. The names stay as they are from version to version.
#[derive(Clone, Debug, Serialize)]
pub struct KernelReport {
    pub kernel: &'static str,
    /// On the CPU "twin".
    pub variant: &'static str,
    /// How its `real` arguments are stored.
    pub precision: Precision,
    pub shape: String,
    /// Of a launch, in milliseconds.
    pub timing_ms: Timing,
    /// 10⁹ floating-point operations a second, by the kernel's declaration.
    pub gflops: f64,
    /// 10⁹ bytes a second that it must move at least.
    pub gbytes_per_second: f64,
    /// `gflops` as a share of the f32 multiply-adds that the device was measured to do, with f16 too: matrix units may exceed it.
    pub of_peak: f64,
    /// `gbytes_per_second` as a share of the speed at which the device was measured to copy.
    pub of_copy: f64,
}

/// A device, and what it can do at best.
pub struct KernelBench {
    device: Device,
    precision: Precision,
    pub peak: Speed,
}

impl KernelBench {
    /// For kernels that store in a precision. Measures how fast the device copies and multiplies.
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

    /// Variants of a kernel that compute a launch of this shape here, and rightly: places in the declaration, none on the CPU,
    /// and names. The reference would stand in for another, and be timed under its name.
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
    /// The heads of the columns that `Display` writes.
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
