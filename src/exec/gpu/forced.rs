//! Variants that the user asks for, instead of the ones that measurements would choose.

use crate::kernels::{Kernel, Variant, find_variant};
use crate::{Error, Result};

/// The content of the environment variable CLOZE_VARIANTS: `default` to measure nothing, or a list such as
/// `matmul_nt/tiled,qkv/direct`.
#[derive(Clone, Default)]
pub(super) struct Forced {
    everything: bool,
    variants: Vec<(&'static Kernel, &'static Variant)>,
}

impl Forced {
    const VARIABLE: &str = "CLOZE_VARIANTS";

    /// # Errors
    /// It names no variant of a kernel.
    pub fn from_environment() -> Result<Forced> {
        match std::env::var_os(Self::VARIABLE) {
            None => Ok(Forced::default()),
            Some(value) => Self::parse(&value.to_string_lossy()),
        }
    }

    fn parse(value: &str) -> Result<Forced> {
        if value == "default" {
            return Ok(Forced { everything: true, variants: Vec::new() });
        }
        let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
        let variants = names.map(|name| {
            find_variant(name).ok_or_else(|| {
                let problem = "is not a variant of a kernel; the doctor's report lists them as `kernel variant`";
                Error::device(format!("{}: `{name}` {problem}, here written kernel/variant", Self::VARIABLE))
            })
        });
        Ok(Forced { everything: false, variants: variants.collect::<Result<_>>()? })
    }

    pub fn of(&self, kernel: &Kernel) -> Option<&'static Variant> {
        self.variants.iter().find(|(forced, _)| forced.name == kernel.name).map(|(_, variant)| *variant)
    }

    /// Whether nothing is to be measured at all.
    pub fn everything(&self) -> bool {
        self.everything
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::matmul::{MATMUL_NN, MATMUL_NT};

    #[test]
    fn variants_are_asked_for_by_name() {
        let forced = Forced::parse("matmul_nt/direct, qkv/tiled").unwrap();
        assert_eq!(forced.of(&MATMUL_NT).map(|variant| variant.name), Some("direct"));
        assert!(forced.of(&MATMUL_NN).is_none() && !forced.everything());
        assert!(Forced::parse("default").unwrap().everything());
        let message = Forced::parse("matmul_nt/quick").err().expect("there is none").to_string();
        assert!(message.contains("CLOZE_VARIANTS: `matmul_nt/quick` is not a variant"), "{message}");
    }
}
