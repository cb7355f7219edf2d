struct MuonNorm {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: MuonNorm;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

const REDUCE: u32 = 256u;

// Every workgroup adds up all partial sums, one per thread.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let norm = max(sqrt(group_sum(partials[lane], lane)), 1e-7);
    let i = group_number(group, groups) * 256u + lane;
    if i < params.count {
        x[i] /= norm;
    }
}
