//! A variant of a kernel that is broken on purpose, to test how wrong results are handled.

use crate::kernels::{Elem, KERNELS, Kernel, Variant, find_variant};
use crate::{Error, Result};

/// For tests only. The environment variable `CLOZE_TEST_BREAK=kernel/variant` makes that variant store wrong numbers on every
/// GPU.
#[derive(Clone, Copy)]
pub struct Sabotage {
    kernel: &'static Kernel,
    variant: &'static Variant,
}

impl Sabotage {
    const VARIABLE: &str = "CLOZE_TEST_BREAK";

    /// What the environment asks for; usually nothing.
    ///
    /// # Errors
    /// It names no variant of a kernel.
    pub(super) fn from_environment() -> Result<Option<Sabotage>> {
        let Some(value) = std::env::var_os(Self::VARIABLE) else { return Ok(None) };
        let value = value.to_string_lossy();
        Self::find(&value).map(Some).ok_or_else(|| {
            let known: Vec<String> = KERNELS
                .iter()
                .flat_map(|kernel| kernel.variants.iter().map(|variant| format!("{}/{}", kernel.name, variant.name)))
                .collect();
            Error::device(format!("{}: `{value}` is none of {}; unset it", Self::VARIABLE, known.join(", ")))
        })
    }

    /// Breaks the variant with a name such as `matmul_nt/direct`; `None` if there is none.
    pub fn find(name: &str) -> Option<Sabotage> {
        find_variant(name).map(|(kernel, variant)| Sabotage { kernel, variant })
    }

    pub(super) fn hits(&self, kernel: &Kernel, variant: &Variant) -> bool {
        (kernel.name, variant.name) == (self.kernel.name, self.variant.name)
    }

    /// The variant's WGSL, with one added to everything that it stores in an argument.
    pub fn spoil(&self, wgsl: &str) -> String {
        let lines = wgsl.lines().map(|line| match (self.stored_elem(line), line.split_once("= ")) {
            (Some(Elem::f32 | Elem::real), Some((place, value))) => format!("{place}= 1.0 + {value}\n"),
            (Some(Elem::u32), Some((place, value))) => format!("{place}= 1u + {value}\n"),
            _ => format!("{line}\n"),
        });
        lines.collect()
    }

    /// The element type of the argument of the kernel that a line stores to, if it does.
    fn stored_elem(&self, line: &str) -> Option<Elem> {
        let stores = |name: &str| {
            line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with('[') || rest.starts_with('.'))
        };
        self.kernel.args.iter().find(|arg| !arg.access.reads_only() && stores(arg.name)).map(|arg| arg.elem)
    }
}
