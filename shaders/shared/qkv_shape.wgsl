// What the projections of queries, keys and values have in common: parameters, and a product whose operands both lie along depth.
struct Qkv {
    batch: u32,
    sequence: u32,
    heads: u32,
    head_dim: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Qkv;

const A_BY_DEPTH: bool = true;
const B_BY_DEPTH: bool = true;

fn size() -> vec3<u32> {
    let width = params.heads * params.head_dim;
    return vec3<u32>(params.batch * params.sequence, 3u * width, width);
}

