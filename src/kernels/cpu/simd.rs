//! Loops compiled for the best vector instructions of this machine.

use std::sync::LazyLock;

static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// A closure that is always compiled into what calls it, and so for the instructions of that: see [`simd`].
macro_rules! inlined {
    ($closure:expr) => {
        #[inline(always)]
        $closure
    };
}

pub(crate) use inlined;

/// Runs `body` compiled for the best vector instructions of this machine. Loops in it vectorise; closures handed on to
/// other threads do not inherit it, so call this inside them; a closure that is not `inlined!` may be compiled on its own,
/// for the oldest machine, and only be called from here.
#[inline(always)]
pub fn simd<R>(body: impl FnOnce() -> R) -> R {
    ARCH.dispatch(body)
}

/// As `simd`, of an operation that goes by the instructions.
#[inline(always)]
pub fn dispatch<Op: pulp::WithSimd>(operation: Op) -> Op::Output {
    ARCH.dispatch(operation)
}

/// The level of vector instructions in use, such as "v3" (AVX2 and FMA) on x86-64.
pub fn isa() -> String {
    let name = format!("{:?}", *ARCH).to_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}
