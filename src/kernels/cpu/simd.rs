//! Loops compiled for the best vector instructions of this machine.

use std::sync::LazyLock;

static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// A closure that is always inlined into its caller, and so compiled for the caller's instructions: see [`simd`].
macro_rules! inlined {
    ($closure:expr) => {
        #[inline(always)]
        $closure
    };
}

pub(crate) use inlined;

/// Runs `body` compiled for the best vector instructions of this machine, so that its loops vectorise. Closures passed on to
/// other threads don't inherit that, so call this inside them. A closure that is not `inlined!` may be compiled on its own for
/// the oldest machine.
#[inline(always)]
pub fn simd<R>(body: impl FnOnce() -> R) -> R {
    ARCH.dispatch(body)
}

/// Like `simd`, for an operation that depends on the instructions.
#[inline(always)]
pub fn dispatch<Op: pulp::WithSimd>(operation: Op) -> Op::Output {
    ARCH.dispatch(operation)
}

/// The level of vector instructions in use, such as "v3" (AVX2 and FMA) on x86-64.
pub fn isa() -> String {
    let name = format!("{:?}", *ARCH).to_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}
