// What a microbatch is in its step; src/kernels/step.rs writes it.
struct StepState {
    loss_weight: f32,
    seed_low: u32,
    seed_high: u32,
    number: u32,
    first_row: u32,
}
