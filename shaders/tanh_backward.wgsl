struct Elements {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Elements;
@group(0) @binding(1) var<storage, read> pre: array<Real>;
@group(0) @binding(2) var<storage, read> dy: array<Real>;
@group(0) @binding(3) var<storage, read_write> d_pre: array<Real>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_number(group, groups) * 256u + lane;
    if i < params.count {
        let y = tanh_of(f32(pre[i]));
        d_pre[i] = Real(f32(dy[i]) * (1.0 - y * y));
    }
}
