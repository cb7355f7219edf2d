// The parameters of the q, k and v projections, forward and backward.
struct Qkv {
    batch: u32,
    sequence: u32,
    heads: u32,
    head_dim: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Qkv;
