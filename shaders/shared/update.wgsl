// What an update goes by; src/kernels/step.rs writes it.
struct UpdateState {
    learning_rate: f32,
}
