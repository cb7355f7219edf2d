// layer_norm for widths that are multiples of four: a row is read once and stays in registers, QUADS per thread.
struct LayerNorm {
    rows: u32,
    width: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: LayerNorm;
@group(0) @binding(1) var<storage, read> x: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;

const REDUCE: u32 = 64u;

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
    let width = params.width / 4u;
    let start = row * width;
    // Past the end of the row a thread holds zeros.
    var values: array<vec4<f32>, QUADS>;
    var sum = vec4<f32>();
    for (var i = 0u; i < QUADS; i++) {
        let quad = REDUCE * i + lane;
        values[i] = select(vec4<f32>(), vec4<f32>(x[start + min(quad, width - 1u)]), quad < width);
        sum += values[i];
    }
    let mean = group_sum(dot(sum, vec4<f32>(1.0)), lane) / f32(params.width);
    var squares = vec4<f32>();
    for (var i = 0u; i < QUADS; i++) {
        values[i] = select(vec4<f32>(), values[i] - mean, REDUCE * i + lane < width);
        squares += values[i] * values[i];
    }
    let variance = group_sum(dot(squares, vec4<f32>(1.0)), lane) / f32(params.width);
    let scale = 1.0 / sqrt(variance + params.epsilon);
    for (var i = 0u; i < QUADS; i++) {
        let quad = REDUCE * i + lane;
        if quad < width {
            var value = values[i] * scale * weight[quad];
            if HAS_BIAS {
                value += bias[quad];
            }
            y[start + quad] = vec4<Real>(value);
        }
    }
    if lane == 0u {
        stats[2u * row] = mean;
        stats[2u * row + 1u] = scale;
    }
}
