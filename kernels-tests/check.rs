//! Lists of kernels with the check of each one's mathematics.

use cloze::kernels::{KERNELS, Kernel};

/// A kernel and a check that errors with what is wrong with its twin. The check takes the kernel as an argument so that
/// a broken one can be put in its place.
pub type Check = (&'static Kernel, fn(&Kernel) -> Result<(), String>);

/// Declares `CHECKS`, and a test for each of them.
macro_rules! checks {
    ($($kernel:ident => $check:ident,)*) => {
        pub static CHECKS: &[$crate::check::Check] = &[$((&$kernel, $check),)*];

        mod tests {
            $(#[test]
            fn $check() {
                if let Err(problem) = super::$check(&super::$kernel) {
                    panic!("{problem}");
                }
            })*
        }
    };
}

pub(crate) use checks;

#[test]
fn every_kernel_is_checked() {
    let checks =
        [crate::forward::CHECKS, crate::gradients::CHECKS, crate::optimizer::CHECKS, crate::muon_kernels::CHECKS]
            .concat();
    for kernel in KERNELS {
        let listed = checks.iter().any(|(checked, _)| checked.name == kernel.name);
        assert!(
            listed,
            "`{}` is in no list of checks: forward.rs, gradients.rs, optimizer.rs or muon_kernels.rs",
            kernel.name
        );
    }
}
