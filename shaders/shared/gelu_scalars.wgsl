// gelu.wgsl for the Number of scalars.wgsl.
fn gelu_of(x: Number) -> Number {
    return gelu(x);
}

fn gelu_gradient_of(x: Number) -> Number {
    return gelu_gradient(x);
}
