struct Qkv {
    batch: u32,
    sequence: u32,
    heads: u32,
    head_dim: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Qkv;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> weight: array<Real>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> rope: array<f32>; // [T, head_dim / 2, (cos, sin)]
@group(0) @binding(5) var<storage, read_write> qkv: array<Real>; // [3, B, heads, T, head_dim]

const A_BY_DEPTH: bool = true;
const B_BY_DEPTH: bool = true;

fn size() -> vec3<u32> {
    let width = params.heads * params.head_dim;
    return vec3<u32>(params.batch * params.sequence, 3u * width, width);
}

// The row of the weight behind a column of the product. With RoPE the two elements that turn together are put side by
// side, so that one thread holds both.
fn weight_row(column: u32) -> u32 {
    if !HAS_ROPE {
        return column;
    }
    let half = params.head_dim / 2u;
    let pair = column / 2u;
    return (pair / half) * params.head_dim + pair % half + (column % 2u) * half;
}

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

// A pair of columns turned by the angle of its position; values stay as they are.
fn turn(row: u32, column: u32, pair: vec2<f32>) -> vec2<f32> {
    let half = params.head_dim / 2u;
    if column >= 2u * params.heads * params.head_dim {
        return pair;
    }
    let at = (row % params.sequence) * params.head_dim + 2u * ((column / 2u) % half);
    let cosine = rope[at];
    let sine = rope[at + 1u];
    return vec2<f32>(pair.x * cosine - pair.y * sine, pair.y * cosine + pair.x * sine);
}

fn store_one(row: u32, feature: u32, value: f32) {
    let width = params.heads * params.head_dim;
    let part = feature / width;
    let head = (feature % width) / params.head_dim;
    let sequence = part * params.batch + row / params.sequence;
    let at = (sequence * params.heads + head) * params.sequence + row % params.sequence;
    qkv[at * params.head_dim + feature % params.head_dim] = Real(select(value, value * params.scale, part == 0u));
}

