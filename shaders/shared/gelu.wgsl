// The rational erf of src/kernels/cpu/math.rs: x P(x^2) / Q(x^2) on [-4, 4].
fn erf(value: f32) -> f32 {
    let x = clamp(value, -4.0, 4.0);
    let t = x * x;
    let p = 1.1283792 + t * (0.19624701 + t * (0.053467225 + t * (0.004003566 + t * (2.8804038e-4 + t * 1.9748525e-6))));
    let q = 1.0 + t * (0.50725055 + t * (0.11647562 + t * (0.015444257 + t * (0.0012163422 + t * 3.7481044e-5))));
    return clamp(x * p / q, -1.0, 1.0);
}

fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + erf(x * 0.70710678));
}

fn gelu_gradient(x: f32) -> f32 {
    return 0.5 * (1.0 + erf(x * 0.70710678)) + x * 0.3989423 * exp(max(-0.5 * x * x, -87.0));
}
