@group(0) @binding(1) var<storage, read> qkv: array<vec4<Real>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read> y: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read> lse: array<f32>; // [B, heads, T]
@group(0) @binding(6) var<storage, read> dy: array<vec4<Real>>;
@group(0) @binding(7) var<storage, read_write> delta: array<f32>; // [B, heads, T]
@group(0) @binding(8) var<storage, read_write> d_qkv: array<vec4<Real>>;

fn quad_at(gradient: bool, place: u32) -> vec4<f32> {
    if gradient {
        return vec4<f32>(dy[place]);
    }
    return vec4<f32>(qkv[place]);
}

fn weight(score: vec4<f32>, log_sum: vec4<f32>, inside: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(), exp(clamp(score - log_sum, vec4<f32>(-87.0), vec4<f32>(87.0))), inside);
}

fn store(lines: Lines, row: u32, chunk: u32, value: Four, thread: u32) {
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
        d_qkv[lines.start + row * lines.stride + quad] = vec4<Real>(value);
    }
}

// Σ dy·y of a row, over the thread's quads.
fn share_of_delta(lines: Lines, row: u32, thread: u32) -> f32 {
    var sum = 0.0;
    for (var quad = thread % 8u; quad < HEAD_QUADS; quad += 8u) {
        let at = lines.start + min(row, params.sequence - 1u) * lines.stride + quad;
        sum += dot(vec4<f32>(dy[at]), vec4<f32>(y[at]));
    }
    return sum;
}

fn row_value(block: Block, row: u32) -> u32 {
    return block.head * params.sequence + min(row, params.sequence - 1u);
}

// A block of query rows, over the keys they attend to. Leaves each row's Σ dy·y, which the softmax's gradient needs, in
// delta.
@compute @workgroup_size(64)
fn query_gradient(
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
    let d_y = rows_of(block);
    let row = block.first + 4u * (thread / 8u);
    let ranges = ranges_of(block, row);
    let log_sum = vec4<f32>(
        lse[row_value(block, row)], lse[row_value(block, row + 1u)],
        lse[row_value(block, row + 2u)], lse[row_value(block, row + 3u)],
    );
    let share = vec4<f32>(
        share_of_delta(d_y, row, thread), share_of_delta(d_y, row + 1u, thread),
        share_of_delta(d_y, row + 2u, thread), share_of_delta(d_y, row + 3u, thread),
    );
    let along = sum_across(share, thread);
    let own = thread % 8u;
    if own < 4u && row + own < params.sequence {
        delta[row_value(block, row + own)] = along[own];
    }
    var sum0 = Four();
    var sum1 = Four();
    var sum2 = Four();
    var sum3 = Four();
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += BLOCK) {
        let key = first + 4u * (thread % 8u);
        let scores = products(q, block.first, k, first, thread);
        var d = products(d_y, block.first, v, first, thread);
        if DROPOUT {
            d = by_vector(d, kept_transposed(block.head * params.sequence + row, key));
        }
        let w0 = weight(scores.v0, log_sum, attends(ranges, key));
        let w1 = weight(scores.v1, log_sum, attends(ranges, key + 1u));
        let w2 = weight(scores.v2, log_sum, attends(ranges, key + 2u));
        let w3 = weight(scores.v3, log_sum, attends(ranges, key + 3u));
        keep_weights(Four(w0 * (d.v0 - along), w1 * (d.v1 - along), w2 * (d.v2 - along), w3 * (d.v3 - along)), thread);
        sum0 = weighted(sum0, k, first, 0u, thread);
        if CHUNKS > 1u {
            sum1 = weighted(sum1, k, first, 1u, thread);
        }
        if CHUNKS > 2u {
            sum2 = weighted(sum2, k, first, 2u, thread);
        }
        if CHUNKS > 3u {
            sum3 = weighted(sum3, k, first, 3u, thread);
        }
    }
    store(q, row, 0u, sum0, thread);
    store(q, row, 1u, sum1, thread);
    store(q, row, 2u, sum2, thread);
    store(q, row, 3u, sum3, thread);
}

// A block of key rows, over the queries that attend to them: the same ranges, since attention is symmetric.
@compute @workgroup_size(64)
fn key_value_gradient(
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
    let d_y = rows_of(block);
    let row = block.first + 4u * (thread / 8u);
    let ranges = ranges_of(block, row);
    var key0 = Four();
    var key1 = Four();
    var key2 = Four();
    var key3 = Four();
    var value0 = Four();
    var value1 = Four();
    var value2 = Four();
    var value3 = Four();
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += BLOCK) {
        let query = first + 4u * (thread % 8u);
        let at0 = row_value(block, query);
        let at1 = row_value(block, query + 1u);
        let at2 = row_value(block, query + 2u);
        let at3 = row_value(block, query + 3u);
        let scores = products(k, block.first, q, first, thread);
        var d = products(v, block.first, d_y, first, thread);
        let w = Four(
            weight(scores.v0, vec4<f32>(lse[at0]), attends(ranges, query)),
            weight(scores.v1, vec4<f32>(lse[at1]), attends(ranges, query + 1u)),
            weight(scores.v2, vec4<f32>(lse[at2]), attends(ranges, query + 2u)),
            weight(scores.v3, vec4<f32>(lse[at3]), attends(ranges, query + 3u)),
        );
        var dropped = w;
        if DROPOUT {
            let mask = Four(kept(at0, row), kept(at1, row), kept(at2, row), kept(at3, row));
            d = by_vector(d, mask);
            dropped = by_vector(w, mask);
        }
        keep_weights(dropped, thread);
        value0 = weighted(value0, d_y, first, 0u, thread);
        if CHUNKS > 1u {
            value1 = weighted(value1, d_y, first, 1u, thread);
        }
        if CHUNKS > 2u {
            value2 = weighted(value2, d_y, first, 2u, thread);
        }
        if CHUNKS > 3u {
            value3 = weighted(value3, d_y, first, 3u, thread);
        }
        let along = vec4<f32>(delta[at0], delta[at1], delta[at2], delta[at3]);
        keep_weights(
            Four(w.v0 * (d.v0 - along.x), w.v1 * (d.v1 - along.y), w.v2 * (d.v2 - along.z), w.v3 * (d.v3 - along.w)),
            thread,
        );
        key0 = weighted(key0, q, first, 0u, thread);
        if CHUNKS > 1u {
            key1 = weighted(key1, q, first, 1u, thread);
        }
        if CHUNKS > 2u {
            key2 = weighted(key2, q, first, 2u, thread);
        }
        if CHUNKS > 3u {
            key3 = weighted(key3, q, first, 3u, thread);
        }
    }
    store(k, row, 0u, key0, thread);
    store(k, row, 1u, key1, thread);
    store(k, row, 2u, key2, thread);
    store(k, row, 3u, key3, thread);
    store(v, row, 0u, value0, thread);
    store(v, row, 1u, value1, thread);
    store(v, row, 2u, value2, thread);
    store(v, row, 3u, value3, thread);
}
