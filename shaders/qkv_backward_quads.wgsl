// qkv_backward for heads whose halves are whole quads. For each of q, k and v a thread has a quad of the lower half of a head's
// row, and the quad of the upper half that rotates with it.
@group(0) @binding(1) var<storage, read> d_qkv: array<vec4<Real>>; // [3, B, heads, T, head_dim]
@group(0) @binding(2) var<storage, read> rope: array<vec4<f32>>; // [T, head_dim / 2, (cos, sin)]
@group(0) @binding(3) var<storage, read_write> dy: array<vec4<Real>>; // [B * T, 3 * width]

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let half = params.head_dim / 8u;
    let width = params.heads * half;
    let i = group_number(group, groups) * 256u + lane;
    if i >= params.batch * params.sequence * width {
        return;
    }
    let row = i / width;
    let head = i % width / half;
    let quad = i % half;
    let sequence = row / params.sequence;
    let position = row % params.sequence;
    var cosines = vec4<f32>(1.0);
    var sines = vec4<f32>();
    if HAS_ROPE {
        let at = 2u * (position * half + quad);
        let first = rope[at];
        let second = rope[at + 1u];
        cosines = vec4<f32>(first.xz, second.xz);
        sines = vec4<f32>(first.yw, second.yw);
    }
    for (var part = 0u; part < 3u; part++) {
        let place = ((part * params.batch + sequence) * params.heads + head) * params.sequence + position;
        let at = 2u * half * place + quad;
        var low = vec4<f32>(d_qkv[at]);
        var high = vec4<f32>(d_qkv[at + half]);
        if HAS_ROPE && part < 2u {
            let turned = low * cosines + high * sines;
            high = high * cosines - low * sines;
            low = turned;
        }
        let scale = select(1.0, params.scale, part == 0u);
        let to = 2u * (width * (3u * row + part) + half * head) + quad;
        dy[to] = vec4<Real>(low * scale);
        dy[to + half] = vec4<Real>(high * scale);
    }
}
