// layer_norm_backward for widths that are multiples of four: x and dy are read once and stay in registers, QUADS of a row per
// thread, and so do the sums of the weights' gradients over the rows of a workgroup. The mean and rstd of a row are computed
// again, which leaves enough bindings for the partial sums.
struct LayerNormBackward {
    rows: u32,
    width: u32,
    epsilon: f32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: LayerNormBackward;
@group(0) @binding(1) var<storage, read> x: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> dy: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<Real>>;
@group(0) @binding(6) var<storage, read> step: StepState;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4<Real>>;
@group(0) @binding(8) var<storage, read_write> dropped: array<vec4<Real>>;
@group(0) @binding(9) var<storage, read_write> partial: array<vec4<f32>>; // [row group, 2, width]
@group(0) @binding(10) var<storage, read_write> d_weight: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> d_bias: array<vec4<f32>>;

const REDUCE: u32 = 64u;

@compute @workgroup_size(64)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = group_number(group, groups);
    let width = params.width / 4u;
    var weight_sums: array<vec4<f32>, QUADS>;
    var bias_sums: array<vec4<f32>, QUADS>;
    for (var row = part * ROWS_A_GROUP; row < min((part + 1u) * ROWS_A_GROUP, params.rows); row++) {
        let start = row * width;
        // Past the end of the row a thread holds zeros.
        var values: array<vec4<f32>, QUADS>;
        var gradients: array<vec4<f32>, QUADS>;
        var sum = vec4<f32>();
        for (var i = 0u; i < QUADS; i++) {
            let quad = REDUCE * i + lane;
            let at = start + min(quad, width - 1u);
            values[i] = select(vec4<f32>(), vec4<f32>(x[at]), quad < width);
            gradients[i] = select(vec4<f32>(), vec4<f32>(dy[at]), quad < width);
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
        var sums = vec2<f32>();
        for (var i = 0u; i < QUADS; i++) {
            values[i] *= scale;
            weight_sums[i] += gradients[i] * values[i];
            bias_sums[i] += gradients[i];
            gradients[i] *= weight[min(REDUCE * i + lane, width - 1u)];
            sums += vec2<f32>(dot(gradients[i], vec4<f32>(1.0)), dot(gradients[i], values[i]));
        }
        let means = group_sums(sums, lane) / f32(params.width);
        var origin: DropoutOrigin;
        if HAS_DROPPED {
            origin = dropout_origin(params.width);
        }
        for (var i = 0u; i < QUADS; i++) {
            let quad = REDUCE * i + lane;
            if quad < width {
                let at = start + quad;
                var d = scale * (gradients[i] - means.x - values[i] * means.y);
                if HAS_RESIDUAL {
                    d += vec4<f32>(residual[at]);
                }
                dx[at] = vec4<Real>(d);
                if HAS_DROPPED {
                    let masks = masks_of_quad(params.rate, origin, at + origin.skipped / 4u);
                    dropped[at] = vec4<Real>(d * masks);
                }
            }
        }
    }
    if part * ROWS_A_GROUP >= params.rows {
        return;
    }
    for (var i = 0u; i < QUADS; i++) {
        let quad = REDUCE * i + lane;
        if quad < width {
            partial[2u * part * width + quad] = weight_sums[i];
            partial[(2u * part + 1u) * width + quad] = bias_sums[i];
        }
    }
}

const COLUMNS: u32 = 8u; // quads of columns per workgroup
const PARTS: u32 = 32u; // partial sums that are added up at once

var<workgroup> added: array<vec4<f32>, 256>; // [PARTS, COLUMNS]

@compute @workgroup_size(256)
fn total(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let width = params.width / 4u;
    let quad = group.x * COLUMNS + thread % COLUMNS;
    let parts = (params.rows + ROWS_A_GROUP - 1u) / ROWS_A_GROUP;
    var sum = vec4<f32>();
    for (var part = thread / COLUMNS; part < parts; part += PARTS) {
        sum += partial[(2u * part + group.y) * width + min(quad, width - 1u)];
    }
    added[thread] = sum;
    workgroupBarrier();
    for (var half = PARTS / 2u; half > 0u; half /= 2u) {
        if thread < half * COLUMNS {
            added[thread] += added[thread + half * COLUMNS];
        }
        workgroupBarrier();
    }
    if thread >= COLUMNS || quad >= width {
        return;
    }
    if group.y == 0u {
        d_weight[quad] += added[thread];
    } else if HAS_D_BIAS {
        d_bias[quad] += added[thread];
    }
}
