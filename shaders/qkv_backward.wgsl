@group(0) @binding(1) var<storage, read> d_qkv: array<Real>; // [3, B, heads, T, head_dim]
@group(0) @binding(2) var<storage, read> rope: array<f32>; // [T, head_dim / 2, (cos, sin)]
@group(0) @binding(3) var<storage, read_write> dy: array<Real>; // [B * T, 3 * width]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let width = params.heads * params.head_dim;
    let i = group_number(group, groups) * 256u + lane;
    if i >= 3u * params.batch * params.sequence * width {
        return;
    }
    let row = i / (3u * width);
    let feature = i % (3u * width);
    let part = feature / width;
    let head = (feature % width) / params.head_dim;
    let element = feature % params.head_dim;
    let position = row % params.sequence;
    let sequence = part * params.batch + row / params.sequence;
    let start = ((sequence * params.heads + head) * params.sequence + position) * params.head_dim;

    var gradient = f32(d_qkv[start + element]);
    if HAS_ROPE && part < 2u {
        let half = params.head_dim / 2u;
        let at = position * params.head_dim + 2u * (element % half);
        if element < half {
            gradient = gradient * rope[at] + f32(d_qkv[start + element + half]) * rope[at + 1u];
        } else {
            gradient = gradient * rope[at] - f32(d_qkv[start + element - half]) * rope[at + 1u];
        }
    }
    dy[i] = Real(select(gradient, gradient * params.scale, part == 0u));
}
