struct LayerNorm {
    rows: u32,
    width: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: LayerNorm;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> stats: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<Real>;
@group(0) @binding(4) var<storage, read_write> partial: array<f32>; // [row group, 2, width]
@group(0) @binding(5) var<storage, read_write> d_weight: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_bias: array<f32>;

@compute @workgroup_size(64)
fn partial_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let strips = (params.width + 63u) / 64u;
    let number = group_number(group, groups);
    let part = number / strips;
    let column = (number % strips) * 64u + lane;
    let first = part * ROWS_A_GROUP;
    if first >= params.rows || column >= params.width {
        return;
    }
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    for (var row = first; row < min(first + ROWS_A_GROUP, params.rows); row++) {
        let d = f32(dy[row * params.width + column]);
        weight_sum += d * ((f32(x[row * params.width + column]) - stats[2u * row]) * stats[2u * row + 1u]);
        bias_sum += d;
    }
    partial[2u * part * params.width + column] = weight_sum;
    partial[(2u * part + 1u) * params.width + column] = bias_sum;
}

@compute @workgroup_size(64)
fn total(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group_number(group, groups) * 64u + lane;
    if column >= params.width {
        return;
    }
    var weight_sum = 0.0;
    var bias_sum = 0.0;
    for (var part = 0u; part < (params.rows + ROWS_A_GROUP - 1u) / ROWS_A_GROUP; part++) {
        weight_sum += partial[2u * part * params.width + column];
        bias_sum += partial[(2u * part + 1u) * params.width + column];
    }
    d_weight[column] += weight_sum;
    if HAS_D_BIAS {
        d_bias[column] += bias_sum;
    }
}
