struct GradientNorm {
    count: u32,
    clip: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    growth_interval: u32,
}

@group(0) @binding(0) var<uniform> params: GradientNorm;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> optimizer: OptimizerState;

const EXPONENT: u32 = 0x7f800000u;
const REDUCE: u32 = 64u;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    var broken = 0.0;
    for (var i = lane; i < params.count; i += REDUCE) {
        sum += partials[i];
        if (bitcast<u32>(partials[i]) & EXPONENT) == EXPONENT {
            broken = 1.0;
        }
    }
    sum = group_sum(sum, lane);
    broken = group_max(broken, lane);
    if lane != 0u {
        return;
    }
    let finite = broken == 0.0 && (bitcast<u32>(sum) & EXPONENT) != EXPONENT;
    let scale = select(1.0, optimizer.loss_scale, SCALED);
    if SCALED {
        update_scale(finite);
    }
    if !finite {
        optimizer.gradient_norm = bitcast<f32>(EXPONENT | (lane & 1u)); // infinity, hidden from constant evaluation
        optimizer.skipped += 1.0;
        optimizer.skipped_in_a_row += 1.0;
        optimizer.coefficient = 0.0;
        return;
    }
    let norm = sqrt(sum) / scale;
    optimizer.gradient_norm = norm;
    optimizer.skipped_in_a_row = 0.0;
    optimizer.coefficient = select(1.0, min(1.0, params.clip / (norm + 1e-6)), params.clip > 0.0) / scale;
    optimizer.applied += 1.0;
    optimizer.correction1 = optimizer.correction1 * params.beta1 + params.rest1;
    optimizer.correction2 = optimizer.correction2 * params.beta2 + params.rest2;
}

// Sets the loss scale of the next step.
fn update_scale(finite: bool) {
    let steps = select(0.0, optimizer.steps_at_scale + 1.0, finite);
    optimizer.steps_at_scale = steps;
    if !finite {
        optimizer.loss_scale = max(optimizer.loss_scale / 2.0, 1.0);
    } else if steps >= f32(params.growth_interval) {
        optimizer.loss_scale = min(optimizer.loss_scale * 2.0, f32(MAX_LOSS_SCALE));
        optimizer.steps_at_scale = 0.0;
    }
}
