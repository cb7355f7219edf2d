//! Trust in the kernels, from the bottom up: PyTorch's figures check whole models (`golden`), formulas in f64 and finite
//! differences, which kernels declare, check the CPU twins (`mathematics`; `optimizer` several of them at once), the twins check
//! the shaders on every adapter (`parity`), shaders and declarations are held together (`reflection`) and every shader is
//! translated for the drivers that are not at hand (`translate`); that of AMD compiles what runs by design without a GPU
//! (`without_hardware`). `slope` holds whole models with dropout to their own losses, `microbatches` a step in parts to the step
//! at once, and `recompute` what is computed twice to its first bits. `plan` and `random_programs` hold the memory planner and
//! both executors to what memory that is never reused would give. `broken` shows that all of it can fail. The harnesses of
//! `parity` and `golden` lie in `src/device/` and `src/doctor/`, since `cloze doctor` runs the same checks.
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
