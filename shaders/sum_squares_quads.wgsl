// sum_squares for counts that are multiples of four. A workgroup's share may begin and end within a quad.
struct SumSquares {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: SumSquares;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

const EXPONENT: u32 = 0x7f800000u;
const REDUCE: u32 = 256u;

// Quads that a thread loads before it adds them up.
const AHEAD: u32 = 4u;

// The elements of a quad that lie in the share, and zeros for the others.
fn share_of(quad: u32, start: u32, end: u32) -> vec4<f32> {
    let at = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
    let value = x[min(quad, params.count / 4u - 1u)];
    return select(vec4<f32>(), value, (at >= vec4<u32>(start)) & (at < vec4<u32>(end)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = min(group.x * SHARE, params.count);
    let end = min(start + SHARE, params.count);
    var squares = vec4<f32>();
    var broken = vec4<u32>();
    for (var quad = start / 4u + lane; 4u * quad < end; quad += AHEAD * REDUCE) {
        var values: array<vec4<f32>, AHEAD>;
        for (var i = 0u; i < AHEAD; i++) {
            values[i] = share_of(quad + i * REDUCE, start, end);
        }
        for (var i = 0u; i < AHEAD; i++) {
            squares += values[i] * values[i];
            broken = max(broken, bitcast<vec4<u32>>(values[i]) & vec4<u32>(EXPONENT));
        }
    }
    let sum = group_sum(dot(squares, vec4<f32>(1.0)), lane);
    let any_broken = group_max(f32(any(broken == vec4<u32>(EXPONENT))), lane);
    if lane == 0u {
        var bits = bitcast<u32>(sum);
        if any_broken > 0.0 {
            bits = EXPONENT;
        }
        partials[group.x] = bitcast<f32>(bits);
    }
}
