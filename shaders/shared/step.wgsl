// What a kernel needs to know of the microbatch and its step; src/kernels/step.rs writes it.
struct StepState {
    loss_weight: f32,
    seed_low: u32,
    seed_high: u32,
    number: u32,
    first_row: u32,
}
