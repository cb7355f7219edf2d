// gelu.wgsl of a Number as scalars.wgsl has it.
fn gelu_of(x: Number) -> Number {
    return gelu(x);
}

fn gelu_gradient_of(x: Number) -> Number {
    return gelu_gradient(x);
}
