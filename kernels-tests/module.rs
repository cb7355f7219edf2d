//! The shaders of a kernel as naga parses them.

use cloze::device::probes::PROBES;
use cloze::kernels::translate::Parsed;
use cloze::kernels::{KERNELS, Kernel, Precision, Variant};
use wgpu::Features;

/// A variant's shader as some case of the kernel has it compiled.
pub struct Shader {
    pub kernel: &'static Kernel,
    pub variant: &'static Variant,
    pub precision: Precision,
    /// Features of a device that the text uses beyond what the variant needs.
    pub offered: Features,
    pub wgsl: String,
}

/// The shaders of every kernel, and of the probes that `cloze doctor` times.
pub fn every_shader() -> impl Iterator<Item = Shader> {
    KERNELS.iter().chain(PROBES).flat_map(|kernel| shaders(kernel))
}

/// Every distinct shader text of a kernel: its variants with the constants of its cases, in both precisions.
fn shaders(kernel: &'static Kernel) -> Vec<Shader> {
    let mut shaders: Vec<Shader> = Vec::new();
    for variant in kernel.variants {
        for precision in [Precision::F32, Precision::F16] {
            for case in (kernel.cases)().into_iter().filter(|case| variant.suits(&case.params, precision)) {
                for offered in [Features::empty(), Features::SHADER_INT64] {
                    let wgsl = kernel.wgsl(variant, &case.params, case.present(), precision, offered);
                    if shaders.iter().all(|shader| shader.wgsl != wgsl) {
                        shaders.push(Shader { kernel, variant, precision, offered, wgsl });
                    }
                }
            }
        }
    }
    assert!(!shaders.is_empty(), "{} has no case", kernel.name);
    shaders
}

impl Shader {
    /// Parses and validates. Panics with the compiler's message.
    pub fn parse(&self) -> Parsed {
        Parsed::new(&self.wgsl, self.features()).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// The features that a device must have for it.
    pub fn features(&self) -> Features {
        self.variant.needs | self.precision.needs() | self.offered
    }
}

impl std::fmt::Display for Shader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?} {}", self.kernel.name, self.variant.name, self.precision, self.offered)
    }
}
