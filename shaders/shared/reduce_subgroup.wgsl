// reduce.wgsl by way of subgroups, whatever their size and the order of their lanes: each subgroup writes one value to
// workgroup memory, and every subgroup adds those up. That takes two barriers instead of one for every halving.
const LOWEST: f32 = -3.4028235e38;

var<workgroup> reduction: array<f32, REDUCE>;
var<workgroup> pair_reduction: array<vec2<f32>, REDUCE>;

fn group_sum(value: f32, lane: u32) -> f32 {
    let own = subgroupAdd(value);
    let first = subgroupExclusiveAdd(1u);
    let lanes = subgroupAdd(1u);
    reduction[lane] = select(0.0, own, first == 0u);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = first; i < REDUCE; i += lanes) {
        sum += reduction[i];
    }
    let total = subgroupAdd(sum);
    workgroupBarrier();
    return total;
}

// Two sums at once.
fn group_sums(values: vec2<f32>, lane: u32) -> vec2<f32> {
    let own = subgroupAdd(values);
    let first = subgroupExclusiveAdd(1u);
    let lanes = subgroupAdd(1u);
    pair_reduction[lane] = select(vec2<f32>(), own, first == 0u);
    workgroupBarrier();
    var sums = vec2<f32>();
    for (var i = first; i < REDUCE; i += lanes) {
        sums += pair_reduction[i];
    }
    let totals = subgroupAdd(sums);
    workgroupBarrier();
    return totals;
}

fn group_max(value: f32, lane: u32) -> f32 {
    let own = subgroupMax(value);
    let first = subgroupExclusiveAdd(1u);
    let lanes = subgroupAdd(1u);
    reduction[lane] = select(LOWEST, own, first == 0u);
    workgroupBarrier();
    var most = LOWEST;
    for (var i = first; i < REDUCE; i += lanes) {
        most = max(most, reduction[i]);
    }
    let largest = subgroupMax(most);
    workgroupBarrier();
    return largest;
}
