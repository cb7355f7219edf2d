//! Every WGSL text that the test cases ask for, parsed and validated by naga.

use cloze::kernels::{Fill, KERNELS, Kernel, Variant};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::collections::BTreeSet;

pub struct Source {
    pub kernel: &'static Kernel,
    pub variant: &'static Variant,
    pub wgsl: String,
    pub module: naga::Module,
    pub info: ModuleInfo,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kernel.name, self.variant.name)
    }
}

/// Each distinct text once: one for every kernel, variant and set of constants. Panics with naga's message when a text
/// needs more than core WebGPU.
pub fn all() -> Vec<Source> {
    let mut sources = Vec::new();
    for &kernel in KERNELS {
        for variant in kernel.variants {
            let texts = (kernel.cases)().into_iter().map(|case| {
                let given = |fill: &Fill| !matches!(fill, Fill::Absent);
                let present = case.fills.iter().enumerate().map(|(place, fill)| u32::from(given(fill)) << place).sum();
                kernel.wgsl(variant, &case.params, present)
            });
            for wgsl in texts.collect::<BTreeSet<_>>() {
                sources.push(read(kernel, variant, wgsl));
            }
        }
    }
    sources
}

fn read(kernel: &'static Kernel, variant: &'static Variant, wgsl: String) -> Source {
    let place = || format!("{} {}", kernel.name, variant.name);
    let module = naga::front::wgsl::parse_str(&wgsl);
    let module = module.unwrap_or_else(|error| panic!("{}: {}", place(), error.emit_to_string(&wgsl)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::default()).validate(&module);
    let info = info.unwrap_or_else(|error| panic!("{}: {}", place(), error.emit_to_string(&wgsl)));
    Source { kernel, variant, wgsl, module, info }
}
