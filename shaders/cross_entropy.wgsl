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
@group(0) @binding(4) var<storage, read_write> logits: array<Real>;
@group(0) @binding(5) var<storage, read_write> results: array<f32>; // [rows, (cross-entropy, right, labelled)]
@group(0) @binding(6) var<storage, read_write> metrics: array<f32>;

const NO_LABEL: u32 = 0xffffffffu;
const EXPONENT: u32 = 0x7f800000u;
const REDUCE: u32 = 64u;

@compute @workgroup_size(64)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group_number(group, groups);
    if row >= params.rows {
        return;
    }
    let start = row * params.columns;
    let label = labels[row];
    if label == NO_LABEL {
        if GRADIENT {
            for (var i = lane; i < params.columns; i += REDUCE) {
                logits[start + i] = 0.0;
            }
        }
        if lane == 0u {
            results[3u * row] = 0.0;
            results[3u * row + 1u] = 0.0;
            results[3u * row + 2u] = 0.0;
        }
        return;
    }
    let own = f32(logits[start + label]);
    var most = own;
    var better = 0.0; // whether any id comes before the label in the ranking
    for (var i = lane; i < params.vocabulary; i += REDUCE) {
        let logit = f32(logits[start + i]);
        most = max(most, logit);
        if logit > own || (logit == own && i < label) {
            better = 1.0;
        }
    }
    most = group_max(most, lane);
    better = group_max(better, lane);
    var sum = 0.0;
    for (var i = lane; i < params.vocabulary; i += REDUCE) {
        sum += exp(max(f32(logits[start + i]) - most, -87.0));
    }
    sum = group_sum(sum, lane);
    let log_sum = most + log(sum);
    let broken = (bitcast<u32>(log_sum) & EXPONENT) == EXPONENT;
    let infinity = bitcast<f32>(EXPONENT | (lane >> 31u)); // hidden from constant evaluation
    if GRADIENT {
        var weight = step.loss_weight;
        if HAS_OPTIMIZER {
            weight *= optimizer.loss_scale;
        }
        let scale = weight / sum;
        for (var i = lane; i < params.vocabulary; i += REDUCE) {
            let share = scale * exp(max(f32(logits[start + i]) - most, -87.0));
            logits[start + i] = Real(select(select(share, share - weight, i == label), infinity, broken));
        }
        for (var i = params.vocabulary + lane; i < params.columns; i += REDUCE) {
            logits[start + i] = 0.0;
        }
    }
    if lane == 0u {
        results[3u * row] = select(log_sum - own, infinity, broken);
        results[3u * row + 1u] = select(1.0 - better, 0.0, broken);
        results[3u * row + 2u] = 1.0;
    }
}

@compute @workgroup_size(64)
fn total(@builtin(local_invocation_index) lane: u32) {
    for (var metric = 0u; metric < 3u; metric++) {
        var sum = 0.0;
        for (var row = lane; row < params.rows; row += REDUCE) {
            sum += results[3u * row + metric];
        }
        sum = group_sum(sum, lane);
        if lane == 0u {
            metrics[metric] += sum;
        }
    }
}
