struct OptimizerState {
    applied: f32,
    correction1: f32,
    correction2: f32,
    skipped: f32,
    skipped_in_a_row: f32,
    gradient_norm: f32,
    coefficient: f32,
    loss_scale: f32,
    steps_at_scale: f32,
}
