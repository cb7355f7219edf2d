// What an update needs to know of its step; src/kernels/step.rs writes it.
struct UpdateState {
    learning_rate: f32,
}
