struct LayerNorm {
    rows: u32,
    width: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: LayerNorm;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Real>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;

const REDUCE: u32 = 64u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group_number(group, groups);
    if row >= params.rows {
        return;
    }
    let start = row * params.width;
    var sum = 0.0;
    for (var i = lane; i < params.width; i += REDUCE) {
        sum += f32(x[start + i]);
    }
    let mean = group_sum(sum, lane) / f32(params.width);
    var squares = 0.0;
    for (var i = lane; i < params.width; i += REDUCE) {
        let centred = f32(x[start + i]) - mean;
        squares += centred * centred;
    }
    let scale = 1.0 / sqrt(group_sum(squares, lane) / f32(params.width) + params.epsilon);
    for (var i = lane; i < params.width; i += REDUCE) {
        var value = (f32(x[start + i]) - mean) * scale * weight[i];
        if HAS_BIAS {
            value += bias[i];
        }
        y[start + i] = Real(value);
    }
    if lane == 0u {
        stats[2u * row] = mean;
        stats[2u * row + 1u] = scale;
    }
}
