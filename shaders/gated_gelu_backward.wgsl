struct GatedGelu {
    rows: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: GatedGelu;
@group(0) @binding(1) var<storage, read> u: array<Real>; // [rows, (input, gate), width]
@group(0) @binding(2) var<storage, read> dy: array<Real>;
@group(0) @binding(3) var<storage, read_write> du: array<Real>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_number(group, groups) * 256u + lane;
    if i >= params.rows * params.width {
        return;
    }
    let input = 2u * (i / params.width) * params.width + i % params.width;
    let gate = input + params.width;
    let d = f32(dy[i]);
    du[input] = Real(d * f32(u[gate]) * gelu_gradient(f32(u[input])));
    du[gate] = Real(d * gelu(f32(u[input])));
}
