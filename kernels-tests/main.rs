//! How far the kernels can be trusted, from the bottom up. PyTorch's figures check whole models (`golden`). Formulas in f64 and
//! finite differences, which kernels declare, check the CPU twins (`mathematics`; `optimizer` checks several at once). The
//! twins check the shaders on every adapter (`parity`). Shaders are compared with declarations (`reflection`), and every shader
//! is translated for drivers that are not at hand (`translate`); AMD's driver compiles what runs by design without a GPU
//! (`without_hardware`). `slope` compares the gradient of whole models with dropout with their losses, `microbatches` a step in
//! parts with the whole step, and `recompute` what is computed twice with its first bits. `plan` and `random_programs` compare
//! the memory planner and both executors with memory that is never reused. `broken` shows that all of these can fail. The
//! harnesses of `parity` and `golden` are in `src/device/` and `src/doctor/`, since `cloze doctor` runs the same checks.
//!
//! ```text
//! cargo test --release --test kernels                              all
//! CLOZE_KERNEL=qkv cargo test --release --test kernels parity      one kernel
//! CLOZE_KERNEL=qkv cargo test --release --test kernels math        its twin's mathematics
//! CLOZE_GOLDEN=folder cargo test --release --test kernels golden   other golden cases
//! CLOZE_SKIP_GPU=1 cargo test --release --test kernels             on a machine without an adapter
//! ```

mod adapter;
#[cfg(target_os = "linux")]
mod amd_compiler;
mod broken;
mod collective;
mod comparison;
mod finite;
mod golden;
mod half;
mod launch;
mod mathematics;
mod memory;
mod microbatches;
mod module;
mod muon;
mod optimizer;
mod parity;
mod philox;
mod plan;
mod random_programs;
mod recompute;
mod reflection;
mod slope;
mod translate;
mod twin;
#[cfg(target_os = "linux")]
mod without_hardware;
