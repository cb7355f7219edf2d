struct SumSquares {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: SumSquares;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

const EXPONENT: u32 = 0x7f800000u;
const REDUCE: u32 = 64u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let end = min((group.x + 1u) * SHARE, params.count);
    var sum = 0.0;
    var broken = 0.0;
    for (var i = group.x * SHARE + lane; i < end; i += REDUCE) {
        sum += x[i] * x[i];
        if (bitcast<u32>(x[i]) & EXPONENT) == EXPONENT {
            broken = 1.0;
        }
    }
    sum = group_sum(sum, lane);
    broken = group_max(broken, lane);
    if lane == 0u {
        var bits = bitcast<u32>(sum);
        if broken > 0.0 {
            bits = EXPONENT;
        }
        partials[group.x] = bitcast<f32>(bits);
    }
}
