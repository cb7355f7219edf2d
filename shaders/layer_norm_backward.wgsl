struct LayerNorm {
    rows: u32,
    width: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: LayerNorm;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<Real>;
@group(0) @binding(5) var<storage, read> residual: array<Real>;
@group(0) @binding(6) var<storage, read_write> dx: array<Real>;

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
    let mean = stats[2u * row];
    let scale = stats[2u * row + 1u];
    var sum = 0.0;
    var sum_along = 0.0;
    for (var i = lane; i < params.width; i += REDUCE) {
        let d = f32(dy[start + i]) * weight[i];
        sum += d;
        sum_along += d * (f32(x[start + i]) - mean);
    }
    let mean_gradient = group_sum(sum, lane) / f32(params.width);
    let along = group_sum(sum_along, lane) * scale / f32(params.width);
    for (var i = lane; i < params.width; i += REDUCE) {
        let normalised = (f32(x[start + i]) - mean) * scale;
        var d = scale * (f32(dy[start + i]) * weight[i] - mean_gradient - normalised * along);
        if HAS_RESIDUAL {
            d += f32(residual[start + i]);
        }
        dx[start + i] = Real(d);
    }
}
