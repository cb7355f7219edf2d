struct LayerNormBackward {
    rows: u32,
    width: u32,
    epsilon: f32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: LayerNormBackward;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<Real>;
@group(0) @binding(5) var<storage, read> residual: array<Real>;
@group(0) @binding(6) var<storage, read> step: StepState;
@group(0) @binding(7) var<storage, read_write> dx: array<Real>;
@group(0) @binding(8) var<storage, read_write> dropped: array<Real>;
@group(0) @binding(9) var<storage, read_write> partial: array<f32>; // [row group, 2, width]
@group(0) @binding(10) var<storage, read_write> d_weight: array<f32>;
@group(0) @binding(11) var<storage, read_write> d_bias: array<f32>;

const REDUCE: u32 = 64u;

@compute @workgroup_size(64)
fn rows(
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
    if !HAS_DROPPED {
        for (var i = lane; i < params.width; i += REDUCE) {
            dx[start + i] = Real(gradient(start + i, weight[i], mean, scale, mean_gradient, along));
        }
        return;
    }
    // Each thread takes four elements, since masks come in fours. The first and the last four may reach into other rows.
    let end = start + params.width;
    let origin = dropout_origin(params.width);
    for (var quad = (start + origin.skipped) / 4u + lane; 4u * quad < end + origin.skipped; quad += REDUCE) {
        let masks = masks_of_quad(params.rate, origin, quad);
        for (var i = 0u; i < 4u; i++) {
            // Before the first element this wraps around to a large number, which fails the check below.
            let at = 4u * quad + i - origin.skipped;
            if at >= start && at < end {
                let d = gradient(at, weight[at - start], mean, scale, mean_gradient, along);
                dx[at] = Real(d);
                dropped[at] = Real(d * masks[i]);
            }
        }
    }
}

fn gradient(at: u32, weight: f32, mean: f32, scale: f32, mean_gradient: f32, along: f32) -> f32 {
    let normalised = (f32(x[at]) - mean) * scale;
    let d = scale * (f32(dy[at]) * weight - mean_gradient - normalised * along);
    if HAS_RESIDUAL {
        return d + f32(residual[at]);
    }
    return d;
}

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
