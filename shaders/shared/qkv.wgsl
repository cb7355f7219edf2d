@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> rope: array<f32>; // [T, head_dim / 2, (cos, sin)]
@group(0) @binding(5) var<storage, read_write> qkv: array<Real>; // [3, B, heads, T, head_dim]

// The row of the weight behind a column of the product. With RoPE the two elements that rotate together are put side
// by side, so that one thread holds both.
fn weight_row(column: u32) -> u32 {
    if !HAS_ROPE {
        return column;
    }
    let half = params.head_dim / 2u;
    let pair = column / 2u;
    return (pair / half) * params.head_dim + pair % half + (column % 2u) * half;
}

// Rotates a pair of columns by the angle of its position (RoPE); values stay as they are.
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

