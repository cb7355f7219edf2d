//! What the CPU twins share.

pub mod gemm;
pub mod math;
pub mod parallel;
pub mod reduce;
pub mod scratch;
pub mod simd;
