//! Tests of the kernels, from the mathematics up.
//!
//! - `forward`, `gradients` and `optimizer` check each CPU twin against plain f64 mathematics: forward passes against
//!   `reference`, backward passes against its central differences (`finite`), optimiser steps against PyTorch's
//!   formulas. `check` sees to it that no kernel is left out.
//! - `parity` checks each WGSL kernel, in every variant and case, against its twin on every adapter; `harness` puts the
//!   arguments between guards and poisons the outputs.
//! - `reflection` compares the shaders' declarations with the Rust ones, `translate` takes them to SPIR-V, MSL and HLSL.
//! - `plan` and `random_programs` check the memory planner and the executors.
//! - `broken` breaks kernels on purpose, and expects all of the above to see it.
//!
//! All of it: `cargo test --release --test kernels`. One kernel: `CLOZE_KERNEL=matmul_nt cargo test --release --test
//! kernels parity`, and `cargo test --release --test kernels matmul` for the mathematics. Without an adapter the tests
//! that need one fail, unless `CLOZE_SKIP_GPU=1` is set.

mod adapter;
mod broken;
mod check;
mod finite;
mod forward;
mod gradients;
mod harness;
mod optimizer;
mod parity;
mod plan;
mod random_programs;
mod reference;
mod reflection;
mod sources;
mod translate;
mod twin;
