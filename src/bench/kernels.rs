//! Kernels, timed one by one at the sizes of a model or at sizes of one's own.

use super::Timing;
use crate::config::unknown;
use crate::doctor::launches::Launches;
use crate::doctor::speed::{self, Speed};
use crate::exec::Device;
use crate::exec::gpu::is_software;
use crate::kernels::{Case, Fill, KERNELS, Kernel, Precision, SIZES, Sizes, Variant};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Timed runs of each kernel.
const SAMPLES: usize = 9;
/// Launches of a run: the first that takes long enough is timed.
const LAUNCHES: [u64; 3] = [1, 16, 256];
/// Most elements of a matrix that sizes given by hand make.
const MOST_ELEMENTS: u64 = 1 << 28;
/// Most of each such size where a kernel has several; a grid of workgroups takes as many.
const MOST_ROWS: u64 = 1 << 20;

/// At which sizes: those of a model by its name in `SIZES`, or launch parameters by the names of their fields.
#[derive(Clone, Debug)]
pub enum BenchShape {
    Model(&'static Sizes),
    Fields(Vec<(String, u32)>),
}

impl FromStr for BenchShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(sizes) = SIZES.iter().find(|sizes| sizes.name == text) {
            return Ok(BenchShape::Model(sizes));
        }
        let field = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_string(), value.trim().parse().ok().filter(|&value| value > 0)?))
        };
        text.split(',').map(field).collect::<Option<_>>().map(BenchShape::Fields).ok_or_else(|| {
            let names: Vec<&str> = SIZES.iter().map(|sizes| sizes.name).collect();
            format!("it is {}, or whole numbers above 0 such as m=1024,n=1024,k=1024", names.join(", "))
        })
    }
}

impl fmt::Display for BenchShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchShape::Model(sizes) => f.write_str(sizes.name),
            BenchShape::Fields(fields) => {
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                f.write_str(&fields.join(","))
            }
        }
    }
}

/// The kernel of a name.
///
/// # Errors
/// There is none; the message has the one that was probably meant.
pub fn find(name: &str) -> Result<&'static Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.name == name).ok_or_else(|| {
        let names: Vec<&str> = [name].into_iter().chain(KERNELS.iter().map(|kernel| kernel.name)).collect();
        Error::Device(unknown("kernel", &names))
    })
}

/// Sizes to run at when none are given: a program that imitates a GPU takes minutes for the larger ones.
pub fn usual_shapes(device: &Device) -> Vec<BenchShape> {
    let software = matches!(device, Device::Gpu(gpu) if is_software(&gpu.info));
    SIZES.iter().take(if software { 1 } else { SIZES.len() }).map(BenchShape::Model).collect()
}

/// A kernel's launch at a shape.
///
/// # Errors
/// The kernel has no such field, or its arguments belong to the sizes of a model; a size is too large.
pub fn case(kernel: &Kernel, shape: &BenchShape) -> Result<Case> {
    let fields = match shape {
        BenchShape::Model(sizes) => return Ok((kernel.bench)(sizes)),
        BenchShape::Fields(fields) => fields,
    };
    let refuse = |problem: String| Err(Error::Device(format!("--shape: {}: {problem}", kernel.name)));
    let mut case = (kernel.bench)(&SIZES[0]);
    let sizes = kernel.sizes(&case.params);
    if sizes.len() > 3 || case.fills.iter().any(|fill| matches!(fill, Fill::Words(_) | Fill::Ids { .. })) {
        let names: Vec<&str> = SIZES.iter().map(|sizes| sizes.name).collect();
        return refuse(format!("its arguments depend on each other; give the sizes of a model: {}", names.join(", ")));
    }
    for (name, value) in fields {
        let Some(&at) = sizes.iter().find(|&&at| kernel.fields[at].name == name) else {
            let known = sizes.iter().map(|&at| kernel.fields[at].name);
            return refuse(unknown("size", &[name.as_str()].into_iter().chain(known).collect::<Vec<_>>()));
        };
        case.params[at] = *value;
    }
    let mut largest: Vec<u64> = sizes.iter().map(|&at| case.params[at].into()).collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let elements = largest.iter().take(2).product::<u64>();
    if elements > MOST_ELEMENTS || (largest.len() > 1 && largest[0] > MOST_ROWS) {
        return refuse(format!(
            "{shape} is too large: the most is {MOST_ELEMENTS} elements, and {MOST_ROWS} of each of several sizes"
        ));
    }
    Ok(case)
}

/// What was measured of a variant of a kernel. The names stay as they are from version to version.
#[derive(Clone, Debug, Serialize)]
pub struct KernelReport {
    pub kernel: &'static str,
    /// On the CPU "twin".
    pub variant: &'static str,
    pub shape: String,
    /// Of a launch, in milliseconds.
    pub timing_ms: Timing,
    /// 10⁹ floating-point operations a second, by the kernel's declaration.
    pub gflops: f64,
    /// 10⁹ bytes a second that it must move at least.
    pub gbytes_per_second: f64,
    /// `gflops` as a share of the multiply-adds that the device was measured to do.
    pub of_peak: f64,
    /// `gbytes_per_second` as a share of the speed at which the device was measured to copy.
    pub of_copy: f64,
    /// The command that measures it again.
    pub again: String,
}

/// All that was measured in a run.
#[derive(Clone, Debug, Serialize)]
pub struct KernelsReport {
    /// The version of Cloze.
    pub version: &'static str,
    pub device: String,
    pub peak: Speed,
    pub kernels: Vec<KernelReport>,
}

/// A device, and what it can do at best.
pub struct KernelBench {
    device: Device,
    /// What `--device` takes it by.
    name: String,
    pub peak: Speed,
}

impl KernelBench {
    /// Measures how fast the device copies and multiplies.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(device: Device, name: String) -> Result<Self> {
        let peak = speed::measure(&device)?;
        Ok(KernelBench { device, name, peak })
    }

    /// Variants of a kernel that compute a launch of this shape here: places in the declaration, none on the CPU, and names.
    /// The reference would stand in for another, and be timed under its name.
    ///
    /// # Errors
    /// As [`case`].
    pub fn variants(&self, kernel: &Kernel, shape: &BenchShape) -> Result<Vec<(Option<usize>, &'static str)>> {
        let case = case(kernel, shape)?;
        Ok(match &self.device {
            Device::Cpu => vec![(None, "twin")],
            Device::Gpu(gpu) => {
                let runs = |variant: &Variant| gpu.offers(variant) && variant.suits(&case.params, Precision::F32);
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
        let (flops, bytes) = ((kernel.flops)(&case.params), kernel.bytes(&case.params, case.present(), Precision::F32));
        let runs = LAUNCHES.map(|count| (case.clone(), count));
        let mut launches = Launches::new(&self.device, place, kernel, &runs)?;
        let (times, _) = launches.times(SAMPLES)?;
        let timing = Timing::of(times);
        let [flops, bytes] = [flops, bytes].map(|work| work as f64 / (timing.median / 1e3));
        Ok(KernelReport {
            kernel: kernel.name,
            variant,
            shape: shape.to_string(),
            timing_ms: timing,
            gflops: flops / 1e9,
            gbytes_per_second: bytes / 1e9,
            of_peak: flops / self.peak.flops_per_second,
            of_copy: bytes / self.peak.bytes_per_second,
            again: format!("cloze bench {} --variant {variant} --shape {shape} --device {}", kernel.name, self.name),
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
            "{:<44}{:>10}{:>9}{:>10}{:>8}{:>9}{:>8}  again",
            "kernel, variant, shape", "ms", "spread", "GFLOP/s", "of peak", "GB/s", "of copy"
        )
    }
}

impl fmt::Display for KernelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{} {} {}", self.kernel, self.variant, self.shape);
        let [spread, peak, copy] = [self.timing_ms.spread, self.of_peak, self.of_copy].map(|share| 100.0 * share);
        write!(
            f,
            "{name:<44}{:>10.3}{spread:>7.1} %{:>10.1}{peak:>6.1} %{:>9.1}{copy:>6.1} %  {}",
            self.timing_ms.median, self.gflops, self.gbytes_per_second, self.again
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_written() {
        for text in ["tiny", "bert-base", "m=1,n=2,k=3", "count=7"] {
            assert_eq!(text.parse::<BenchShape>().unwrap().to_string(), text);
        }
        for text in ["", "huge", "m", "m=0", "m=-1", "m=1,,n=2", "m=99999999999"] {
            assert!(text.parse::<BenchShape>().unwrap_err().contains("tiny, bert-base"), "{text}");
        }
    }

    /// Whatever sizes are let through, arguments have the lengths of the declaration, and the twin runs.
    #[test]
    fn small_sizes_of_every_kernel_run_or_are_refused() {
        let mut taken = 0;
        for kernel in KERNELS {
            for value in [1, 2, 3, 17] {
                let sizes = kernel.sizes(&(kernel.bench)(&SIZES[0]).params).into_iter();
                let shape = BenchShape::Fields(sizes.map(|at| (kernel.fields[at].name.to_string(), value)).collect());
                if let Ok(case) = case(kernel, &shape) {
                    taken += 1;
                    Launches::new(&Device::Cpu, None, kernel, &[(case, 2)]).unwrap().times(1).unwrap();
                }
            }
        }
        assert!(taken >= 4 * 8, "{taken}");
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_made() {
        let matmul = find("matmul_nt").unwrap();
        for text in ["m=1048577,n=1,k=1", "m=65536,n=65536,k=1", "m=4294967295,n=4294967295,k=4294967295"] {
            let message = case(matmul, &text.parse().unwrap()).unwrap_err().to_string();
            assert!(message.contains("too large"), "{text}: {message}");
        }
        let message = case(matmul, &"m=2,rows=3".parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("unknown size `rows`") && message.contains("`m`, `n`, `k`"), "{message}");
        let message = case(matmul, &"site=3".parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("unknown size `site`"), "{message}");
        let attention = case(find("attention").unwrap(), &"heads=2".parse().unwrap()).unwrap_err().to_string();
        assert!(attention.contains("tiny, bert-base"), "{attention}");
    }
}
