// gelu.wgsl for the Number of quads.wgsl.
fn gelu_of(x: Number) -> Number {
    return Number(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w));
}

fn gelu_gradient_of(x: Number) -> Number {
    return Number(gelu_gradient(x.x), gelu_gradient(x.y), gelu_gradient(x.z), gelu_gradient(x.w));
}
