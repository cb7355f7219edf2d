// Sums and maxima over a workgroup of REDUCE threads, in a fixed order.
const REDUCE: u32 = 64u;

var<workgroup> reduction: array<f32, 64>;

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
