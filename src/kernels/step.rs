//! What changes from step to step, in small buffers that the host rewrites; the shaders' structs of the same names lie in
//! `shaders/shared/`.

use super::kernel::params;

params! {
    /// The content of the `step` input of a kernel: what a microbatch is in its step.
    pub struct StepState {
        /// What a row's cross-entropy counts in the loss: one over the labels of the whole step.
        loss_weight: f32,
        /// Seed of the run, low word.
        seed_low: u32,
        /// Seed of the run, high word.
        seed_high: u32,
        /// Number of the optimiser step, counted from 0 over the run: tells its dropout masks apart.
        number: u32,
        /// Of the kernel's rows, the number of the first one in the step's whole batch, of which this is one microbatch.
        first_row: u32,
    }
}

/// Length of a `step` buffer in words.
pub const STEP_WORDS: usize = std::mem::size_of::<StepState>() / 4;

params! {
    /// The content of the `update` input of a kernel: once a step, however many microbatches it has.
    pub struct UpdateState {
        /// Learning rate of this optimiser step.
        learning_rate: f32,
    }
}

/// Length of an `update` buffer in words.
pub const UPDATE_WORDS: usize = std::mem::size_of::<UpdateState>() / 4;
