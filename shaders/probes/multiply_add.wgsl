struct MultiplyAdd {
    count: u32,
    rounds: u32,
    factor: f32,
    term: f32,
}

@group(0) @binding(0) var<uniform> params: MultiplyAdd;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

// Each thread has two vectors: eight chains of multiply-adds that do not wait for each other.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let half = params.count / 8u;
    let i = group_number(group, groups) * 256u + lane;
    if i >= half {
        return;
    }
    let factor = vec4<f32>(params.factor);
    let term = vec4<f32>(params.term);
    var low = x[i];
    var high = x[half + i];
    for (var round = 0u; round < params.rounds; round++) {
        low = fma(low, factor, term);
        high = fma(high, factor, term);
    }
    y[i] = low;
    y[half + i] = high;
}
