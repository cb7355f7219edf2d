@group(0) @binding(1) var<storage, read> qkv: array<vec4<Real>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [B, heads, T]

fn quad_at(gradient: bool, place: u32) -> vec4<f32> {
    return vec4<f32>(qkv[place]);
}

fn max_across(value: vec4<f32>, thread: u32) -> vec4<f32> {
    workgroupBarrier();
    across[thread] = value;
    workgroupBarrier();
    var most = value;
    for (var i = 0u; i < 8u; i++) {
        most = max(most, across[thread / 8u * 8u + i]);
    }
    return most;
}

// What a weight is, from its score; nothing where a row does not attend.
fn weight(score: vec4<f32>, most: vec4<f32>, inside: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(), exp(max(score - most, vec4<f32>(-87.0))), inside);
}

fn store(block: Block, row: u32, chunk: u32, value: Four, thread: u32) {
    let lines = rows_of(block);
    let quad = chunk * 8u + thread % 8u;
    if quad < HEAD_QUADS {
        store_one(lines, row, quad, value.v0);
        store_one(lines, row + 1u, quad, value.v1);
        store_one(lines, row + 2u, quad, value.v2);
        store_one(lines, row + 3u, quad, value.v3);
    }
}

fn store_one(lines: Lines, row: u32, quad: u32, value: vec4<f32>) {
    if row < params.sequence {
        y[lines.start + row * lines.stride + quad] = vec4<Real>(value);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = group_number(group, groups);
    if number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(number);
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let row = block.first + 4u * (thread / 8u);
    let ranges = ranges_of(block, row);
    var most = vec4<f32>(-1e30);
    var total = vec4<f32>();
    var sum0 = Four();
    var sum1 = Four();
    var sum2 = Four();
    var sum3 = Four();
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += BLOCK) {
        let key = first + 4u * (thread % 8u);
        let inside0 = attends(ranges, key);
        let inside1 = attends(ranges, key + 1u);
        let inside2 = attends(ranges, key + 2u);
        let inside3 = attends(ranges, key + 3u);
        let scores = products(q, block.first, k, first, thread);
        var largest = select(most, scores.v0, inside0);
        largest = max(largest, select(most, scores.v1, inside1));
        largest = max(largest, select(most, scores.v2, inside2));
        largest = max(largest, select(most, scores.v3, inside3));
        let new_most = max(most, max_across(largest, thread));
        let keep = exp(max(most - new_most, vec4<f32>(-87.0)));
        var weighed = Four(
            weight(scores.v0, new_most, inside0), weight(scores.v1, new_most, inside1),
            weight(scores.v2, new_most, inside2), weight(scores.v3, new_most, inside3),
        );
        total = total * keep + ((weighed.v0 + weighed.v1) + (weighed.v2 + weighed.v3));
        if DROPOUT {
            weighed = by_vector(weighed, kept_transposed(block.head * params.sequence + row, key));
        }
        keep_weights(weighed, thread);
        sum0 = weighted(by_row(sum0, keep), v, first, 0u, thread);
        if CHUNKS > 1u {
            sum1 = weighted(by_row(sum1, keep), v, first, 1u, thread);
        }
        if CHUNKS > 2u {
            sum2 = weighted(by_row(sum2, keep), v, first, 2u, thread);
        }
        if CHUNKS > 3u {
            sum3 = weighted(by_row(sum3, keep), v, first, 3u, thread);
        }
        most = new_most;
    }
    total = sum_across(total, thread);
    store(block, row, 0u, by_row(sum0, 1.0 / total), thread);
    store(block, row, 1u, by_row(sum1, 1.0 / total), thread);
    store(block, row, 2u, by_row(sum2, 1.0 / total), thread);
    store(block, row, 3u, by_row(sum3, 1.0 / total), thread);
    let log_sums = most + log(total);
    let own = thread % 8u;
    if own < 4u && row + own < params.sequence {
        lse[block.head * params.sequence + row + own] = log_sums[own];
    }
}
