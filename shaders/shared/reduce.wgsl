// Sums and maxima over a workgroup of REDUCE threads, in a fixed order. The kernel sets REDUCE, a power of two.
var<workgroup> reduction: array<f32, REDUCE>;
var<workgroup> pair_reduction: array<vec2<f32>, REDUCE>;

fn group_sum(value: f32, lane: u32) -> f32 {
    reduction[lane] = value;
    workgroupBarrier();
    for (var half = REDUCE / 2u; half > 0u; half /= 2u) {
        if lane < half {
            reduction[lane] += reduction[lane + half];
        }
        workgroupBarrier();
    }
    let total = reduction[0];
    workgroupBarrier();
    return total;
}

// Two sums at once.
fn group_sums(values: vec2<f32>, lane: u32) -> vec2<f32> {
    pair_reduction[lane] = values;
    workgroupBarrier();
    for (var half = REDUCE / 2u; half > 0u; half /= 2u) {
        if lane < half {
            pair_reduction[lane] += pair_reduction[lane + half];
        }
        workgroupBarrier();
    }
    let totals = pair_reduction[0];
    workgroupBarrier();
    return totals;
}

fn group_max(value: f32, lane: u32) -> f32 {
    reduction[lane] = value;
    workgroupBarrier();
    for (var half = REDUCE / 2u; half > 0u; half /= 2u) {
        if lane < half {
            reduction[lane] = max(reduction[lane], reduction[lane + half]);
        }
        workgroupBarrier();
    }
    let largest = reduction[0];
    workgroupBarrier();
    return largest;
}
