@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> weight: array<Real>;

fn load_a(row: u32, depth: u32) -> f32 {
    return f32(x[row * params.heads * params.head_dim + depth]);
}

fn load_b(depth: u32, column: u32) -> f32 {
    return f32(weight[weight_row(column) * params.heads * params.head_dim + depth]);
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    var result = value;
    let count = min(4u, 3u * params.heads * params.head_dim - column);
    if HAS_BIAS {
        for (var i = 0u; i < count; i++) {
            result[i] += bias[weight_row(column + i)];
        }
    }
    if HAS_ROPE {
        let low = turn(row, column, result.xy);
        let high = turn(row, column + 2u, result.zw);
        result = vec4<f32>(low, high);
    }
    for (var i = 0u; i < count; i++) {
        store_one(row, weight_row(column + i), result[i]);
    }
}

fn store_one(row: u32, feature: u32, value: f32) {
    let width = params.heads * params.head_dim;
    let part = feature / width;
    let head = (feature % width) / params.head_dim;
    let sequence = part * params.batch + row / params.sequence;
    let at = (sequence * params.heads + head) * params.sequence + row % params.sequence;
    qkv[at * params.head_dim + feature % params.head_dim] = Real(select(value, value * params.scale, part == 0u));
}

