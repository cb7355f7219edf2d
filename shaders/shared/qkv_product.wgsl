// The product of the q, k and v projections; both operands lie along depth.
const A_BY_DEPTH: bool = true;
const B_BY_DEPTH: bool = true;

fn size() -> vec3<u32> {
    let width = params.heads * params.head_dim;
    return vec3<u32>(params.batch * params.sequence, 3u * width, width);
}
