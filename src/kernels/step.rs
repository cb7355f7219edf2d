//! Values that change from step to step, in small buffers that the host rewrites. The shaders' structs of the same names are in
//! `shaders/shared/`.

use super::kernel::params;

params! {
    /// The content of a kernel's `step` input: what it needs to know of the microbatch and its step.
    pub struct StepState {
        /// The weight of a row's cross-entropy in the loss: one over the number of labels in the whole step.
        loss_weight: f32,
        /// Seed of the run, low word.
        seed_low: u32,
        /// Seed of the run, high word.
        seed_high: u32,
        /// Number of the optimiser step, counted from 0 over the run. Each step has its own dropout masks.
        number: u32,
        /// The place of the kernel's first row in the step's whole batch, of which this is one microbatch.
        first_row: u32,
    }
}

/// Length of a `step` buffer in words.
pub const STEP_WORDS: usize = std::mem::size_of::<StepState>() / 4;

params! {
    /// The content of a kernel's `update` input: one per step, however many microbatches it has.
    pub struct UpdateState {
        /// Learning rate of this optimiser step.
        learning_rate: f32,
    }
}

/// Length of an `update` buffer in words.
pub const UPDATE_WORDS: usize = std::mem::size_of::<UpdateState>() / 4;
