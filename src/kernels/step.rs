//! What changes from step to step, in a small buffer that the host rewrites; the shaders' struct of the same name lies
//! in `shaders/shared/step.wgsl`.

use super::kernel::params;

params! {
    /// The content of the `step` input of a kernel.
    pub struct StepState {
        /// Learning rate of this optimiser step.
        learning_rate: f32,
        /// What a row's cross-entropy counts in the loss: one over the labels of the whole step.
        loss_weight: f32,
        /// Seed of the run, low word.
        seed_low: u32,
        /// Seed of the run, high word.
        seed_high: u32,
        /// Number of the microbatch since the start of the run: tells dropout masks apart.
        microbatch: u32,
    }
}

/// Length of a `step` buffer in words.
pub const STEP_WORDS: usize = std::mem::size_of::<StepState>() / 4;
