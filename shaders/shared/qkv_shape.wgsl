// The parameters of the projections of queries, keys and values, and of their way back.
struct Qkv {
    batch: u32,
    sequence: u32,
    heads: u32,
    head_dim: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Qkv;
