// What changes from step to step; src/kernels/step.rs writes it.
struct StepState {
    learning_rate: f32,
    loss_weight: f32,
    seed_low: u32,
    seed_high: u32,
    microbatch: u32,
}
