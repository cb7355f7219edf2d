// qkv for a head_dim that is a multiple of four, so that a quad of columns lies in one head.
@group(0) @binding(1) var<storage, read> x: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<Real>>;

fn line_a(row: u32) -> u32 {
    return row * (params.heads * params.head_dim / 4u);
}

fn line_b(column: u32) -> u32 {
    return weight_row(column) * (params.heads * params.head_dim / 4u);
}

fn quad_a(line: u32, depth: u32) -> vec4<Real> {
    return x[line + depth / 4u];
}

fn quad_b(line: u32, depth: u32) -> vec4<Real> {
    return weight[line + depth / 4u];
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    let width = params.heads * params.head_dim;
    let first = weight_row(column);
    // How far the weight's rows for the other three columns lie from the first: two pairs that rotate together, or a run.
    let beyond = select(vec3<u32>(1u, 2u, 3u), vec3<u32>(params.head_dim / 2u, 1u, params.head_dim / 2u + 1u), HAS_ROPE);
    var result = value;
    if HAS_BIAS {
        result += vec4<f32>(bias[first], bias[first + beyond.x], bias[first + beyond.y], bias[first + beyond.z]);
    }
    if HAS_ROPE {
        result = vec4<f32>(turn(row, column, result.xy), turn(row, column + 2u, result.zw));
    }
    let part = first / width;
    if part == 0u {
        result *= params.scale;
    }
    let head = (first % width) / params.head_dim;
    let sequence = part * params.batch + row / params.sequence;
    let at = ((sequence * params.heads + head) * params.sequence + row % params.sequence) * params.head_dim
        + first % params.head_dim;
    qkv[at] = Real(result.x);
    qkv[at + beyond.x] = Real(result.y);
    qkv[at + beyond.y] = Real(result.z);
    qkv[at + beyond.z] = Real(result.w);
}

