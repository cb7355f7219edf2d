// qkv on matrices, for a head_dim that is a multiple of eight. With RoPE a quad of the first half of a head and the quad that
// rotates with it are put side by side, so that one thread holds both.
@group(0) @binding(1) var<storage, read> x: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<Real>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> rope: array<vec4<f32>>; // [T, head_dim / 2, (cos, sin)]
@group(0) @binding(5) var<storage, read_write> qkv: array<vec4<Real>>; // [3, B, heads, T, head_dim]

// The row of the weight behind a column of the product.
fn weight_row(column: u32) -> u32 {
    if !HAS_ROPE {
        return column;
    }
    let within = column % params.head_dim;
    let half = column / 4u % 2u;
    return column - within + within / 8u * 4u + half * (params.head_dim / 2u) + column % 4u;
}

fn octets_of_a(row: u32) -> u32 {
    return row * (size().z / 8u);
}

fn octets_of_b(column: u32) -> u32 {
    return weight_row(column) * (size().z / 8u);
}

fn octet_a(at: u32) -> Octet {
    return Octet(x[2u * at], x[2u * at + 1u]);
}

fn octet_b(at: u32) -> Octet {
    return Octet(weight[2u * at], weight[2u * at + 1u]);
}

// Both operands lie along depth, so that these are never called.
fn rows_at(row: u32, depth: u32) -> vec4<Real> {
    return vec4<Real>();
}

fn columns_at(depth: u32, column: u32) -> vec4<Real> {
    return vec4<Real>();
}

fn store_octet(row: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    let first = weight_row(column);
    // How far away in a head the quad lies that is beside this one in the product.
    let beyond = select(1u, params.head_dim / 8u, HAS_ROPE);
    let head = first / params.head_dim;
    let part = head / params.heads;
    let position = row % params.sequence;
    var one = low;
    var other = high;
    if HAS_BIAS {
        one += bias[first / 4u];
        other += bias[first / 4u + beyond];
    }
    if HAS_ROPE && part < 2u {
        let at = (position * params.head_dim + 2u * (first % params.head_dim)) / 4u;
        let angles = array<vec4<f32>, 2>(rope[at], rope[at + 1u]);
        let cosine = vec4<f32>(angles[0].xz, angles[1].xz);
        let sine = vec4<f32>(angles[0].yw, angles[1].yw);
        let turned = one * cosine - other * sine;
        other = other * cosine + one * sine;
        one = turned;
    }
    let scale = select(1.0, params.scale, part == 0u);
    let sequence = part * params.batch + row / params.sequence;
    let line = (sequence * params.heads + head % params.heads) * params.sequence + position;
    let to = (line * params.head_dim + first % params.head_dim) / 4u;
    qkv[to] = vec4<Real>(one * scale);
    qkv[to + beyond] = vec4<Real>(other * scale);
}

