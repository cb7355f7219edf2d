// cross_entropy for numbers of columns that are multiples of four. It finds the largest logit and the sum in one pass over a
// row, as in Milakov and Gimelshein (2018), with 256 threads per row.
struct CrossEntropy {
    rows: u32,
    vocabulary: u32,
    columns: u32,
    gradient: u32,
}

@group(0) @binding(0) var<uniform> params: CrossEntropy;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> step: StepState;
@group(0) @binding(3) var<storage, read> optimizer: OptimizerState;
@group(0) @binding(4) var<storage, read_write> logits: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read_write> results: array<f32>; // [rows, (cross-entropy, right, labelled)]
@group(0) @binding(6) var<storage, read_write> metrics: array<f32>;

const NO_LABEL: u32 = 0xffffffffu;
const EXPONENT: u32 = 0x7f800000u;
const NO_LOGIT: f32 = -3.4e38;
const REDUCE: u32 = 256u;

// The ids of a quad of a row.
fn ids_of(quad: u32) -> vec4<u32> {
    return vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
}

fn exp_of(x: vec4<f32>) -> vec4<f32> {
    return exp(max(x, vec4<f32>(-87.0)));
}

@compute @workgroup_size(256)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group_number(group, groups);
    if row >= params.rows {
        return;
    }
    let columns = params.columns / 4u;
    let start = row * columns;
    let label = labels[row];
    if label == NO_LABEL {
        if GRADIENT {
            for (var quad = lane; quad < columns; quad += REDUCE) {
                logits[start + quad] = vec4<Real>();
            }
        }
        if lane < 3u {
            results[3u * row + lane] = 0.0;
        }
        return;
    }
    let own = f32(logits[start + label / 4u][label % 4u]);
    var most = NO_LOGIT;
    var sum = vec4<f32>();
    var beaten = false; // whether any id comes before the label in the ranking
    for (var quad = lane; 4u * quad < params.vocabulary; quad += REDUCE) {
        let ids = ids_of(quad);
        let value = select(vec4<f32>(NO_LOGIT), vec4<f32>(logits[start + quad]), ids < vec4<u32>(params.vocabulary));
        let ranked = (value > vec4<f32>(own)) | ((value == vec4<f32>(own)) & (ids < vec4<u32>(label)));
        beaten |= any(ranked);
        let larger = max(max(most, max(value.x, value.y)), max(value.z, value.w));
        sum = sum * exp(max(most - larger, -87.0)) + exp_of(value - larger);
        most = larger;
    }
    let largest = group_max(most, lane);
    let own_sum = dot(sum, vec4<f32>(1.0)) * exp(max(most - largest, -87.0));
    let total = group_sum(own_sum, lane);
    let better = group_max(f32(beaten), lane);
    let log_sum = largest + log(total);
    let broken = (bitcast<u32>(log_sum) & EXPONENT) == EXPONENT;
    let infinity = bitcast<f32>(EXPONENT | (lane >> 31u)); // hidden from constant evaluation
    if GRADIENT {
        var weight = step.loss_weight;
        if HAS_OPTIMIZER {
            weight *= optimizer.loss_scale;
        }
        let scale = weight / total;
        for (var quad = lane; quad < columns; quad += REDUCE) {
            let ids = ids_of(quad);
            let share = scale * exp_of(vec4<f32>(logits[start + quad]) - largest);
            let right = select(vec4<f32>(), vec4<f32>(weight), ids == vec4<u32>(label));
            let gradient = select(share - right, vec4<f32>(infinity), broken);
            logits[start + quad] = vec4<Real>(select(vec4<f32>(), gradient, ids < vec4<u32>(params.vocabulary)));
        }
    }
    if lane == 0u {
        results[3u * row] = select(log_sum - own, infinity, broken);
        results[3u * row + 1u] = select(1.0 - better, 0.0, broken);
        results[3u * row + 2u] = 1.0;
    }
}

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    var sums = vec3<f32>();
    for (var row = lane; row < params.rows; row += REDUCE) {
        sums += vec3<f32>(results[3u * row], results[3u * row + 1u], results[3u * row + 2u]);
    }
    for (var metric = 0u; metric < 3u; metric++) {
        let sum = group_sum(sums[metric], lane);
        if lane == 0u {
            metrics[metric] += sum;
        }
    }
}
