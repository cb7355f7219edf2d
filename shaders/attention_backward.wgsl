@group(0) @binding(4) var<storage, read> y: array<Real>;
@group(0) @binding(5) var<storage, read> lse: array<f32>; // [B, heads, T]
@group(0) @binding(6) var<storage, read> dy: array<Real>;
@group(0) @binding(7) var<storage, read_write> delta: array<f32>; // [B, heads, T]
@group(0) @binding(8) var<storage, read_write> d_qkv: array<Real>;

// The softmax's gradient needs the sum of dy·y of every row.
@compute @workgroup_size(64)
fn row_delta(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group_number(group, groups) * 64u + lane;
    if number >= params.batch * params.heads * params.sequence {
        return;
    }
    let row = row_of(number);
    var sum = 0.0;
    for (var d = 0u; d < HEAD_DIM; d++) {
        sum += f32(dy[row.output + d]) * f32(y[row.output + d]);
    }
    delta[number] = sum;
}

// Each thread has a query row and goes over its keys.
@compute @workgroup_size(64)
fn query_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group_number(group, groups) * 64u + lane;
    if number >= params.batch * params.heads * params.sequence {
        return;
    }
    let row = row_of(number);
    let own = row.sequence + row.position * HEAD_DIM;
    var query: array<f32, HEAD_DIM>;
    var output_gradient: array<f32, HEAD_DIM>;
    var sum: array<f32, HEAD_DIM>;
    for (var d = 0u; d < HEAD_DIM; d++) {
        query[d] = f32(qkv[own + d]);
        output_gradient[d] = f32(dy[row.output + d]);
        sum[d] = 0.0;
    }
    for (var key = row.first; key < row.end; key++) {
        let at = part_size() + row.sequence + key * HEAD_DIM;
        var score = 0.0;
        var weight_gradient = 0.0;
        for (var d = 0u; d < HEAD_DIM; d++) {
            score += query[d] * f32(qkv[at + d]);
            weight_gradient += output_gradient[d] * f32(qkv[part_size() + at + d]);
        }
        let weight = exp(clamp(score - lse[number], -87.0, 87.0));
        let score_gradient = weight * (weight_gradient * dropout_mask(number, key) - delta[number]);
        for (var d = 0u; d < HEAD_DIM; d++) {
            sum[d] += score_gradient * f32(qkv[at + d]);
        }
    }
    for (var d = 0u; d < HEAD_DIM; d++) {
        d_qkv[own + d] = Real(sum[d]);
    }
}

// Each thread has a key row and goes over the queries that attend to it: the same range, since attention is symmetric.
@compute @workgroup_size(64)
fn key_value_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group_number(group, groups) * 64u + lane;
    if number >= params.batch * params.heads * params.sequence {
        return;
    }
    let row = row_of(number);
    let own = part_size() + row.sequence + row.position * HEAD_DIM;
    var key: array<f32, HEAD_DIM>;
    var value: array<f32, HEAD_DIM>;
    var key_sum: array<f32, HEAD_DIM>;
    var value_sum: array<f32, HEAD_DIM>;
    for (var d = 0u; d < HEAD_DIM; d++) {
        key[d] = f32(qkv[own + d]);
        value[d] = f32(qkv[part_size() + own + d]);
        key_sum[d] = 0.0;
        value_sum[d] = 0.0;
    }
    for (var query = row.first; query < row.end; query++) {
        let query_number = number - row.position + query;
        let at = row.sequence + query * HEAD_DIM;
        let at_output = row.output + query * params.heads * HEAD_DIM - row.position * params.heads * HEAD_DIM;
        var score = 0.0;
        var weight_gradient = 0.0;
        for (var d = 0u; d < HEAD_DIM; d++) {
            score += key[d] * f32(qkv[at + d]);
            weight_gradient += value[d] * f32(dy[at_output + d]);
        }
        let weight = exp(clamp(score - lse[query_number], -87.0, 87.0));
        let mask = dropout_mask(query_number, row.position);
        let score_gradient = weight * (weight_gradient * mask - delta[query_number]);
        for (var d = 0u; d < HEAD_DIM; d++) {
            key_sum[d] += score_gradient * f32(qkv[at + d]);
            value_sum[d] += weight * mask * f32(dy[at_output + d]);
        }
    }
    for (var d = 0u; d < HEAD_DIM; d++) {
        d_qkv[own + d] = Real(key_sum[d]);
        d_qkv[part_size() + own + d] = Real(value_sum[d]);
    }
}
