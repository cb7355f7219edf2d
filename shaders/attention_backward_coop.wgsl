@group(0) @binding(1) var<storage, read> qkv: array<vec4<f16>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read> y: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> lse: array<f32>; // [B, heads, T]
@group(0) @binding(6) var<storage, read> dy: array<vec4<f16>>;
@group(0) @binding(7) var<storage, read_write> delta: array<f32>; // [B, heads, T]
@group(0) @binding(8) var<storage, read_write> d_qkv: array<vec4<f16>>;

fn quad_at(gradient: bool, place: u32) -> vec4<f16> {
    if gradient {
        return dy[place];
    }
    return qkv[place];
}

fn weight(score: vec4<f32>, log_sum: f32, inside: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(), exp(clamp(score - log_sum, vec4<f32>(-87.0), vec4<f32>(87.0))), inside);
}

// Hands the weights of another row for a quad of own ones to the workgroup.
fn keep_weights_transposed(other: u32, quad: u32, value: vec4<f32>) {
    let at = 4u * quad * OTHERS + other;
    weights[at] = f16(value.x);
    weights[at + OTHERS] = f16(value.y);
    weights[at + 2u * OTHERS] = f16(value.z);
    weights[at + 3u * OTHERS] = f16(value.w);
}

// Σ dy·y of a row, over the thread's quads.
fn share_of_delta(lines: Lines, row: u32, place: Place) -> f32 {
    var sum = 0.0;
    for (var quad = place.quad; quad < HEAD_QUADS; quad += place.spread) {
        let at = lines.start + min(row, params.sequence - 1u) * lines.stride + quad;
        sum += dot(vec4<f32>(dy[at]), vec4<f32>(y[at]));
    }
    return sum;
}

fn row_value(block: Block, row: u32) -> u32 {
    return block.head * params.sequence + min(row, params.sequence - 1u);
}

fn store(lines: Lines, row: u32, place: Place, output: ptr<function, Output>) {
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        for (var i = 0u; i < QUADS; i++) {
            let quad = 8u * chunk + quad_of(place, i);
            if quad < HEAD_QUADS && row < params.sequence {
                d_qkv[lines.start + row * lines.stride + quad] = vec4<f16>((*output)[chunk][i]);
            }
        }
    }
}

// A block of query rows, over the keys they attend to. Leaves each row's Σ dy·y, which the softmax's gradient needs, in
// delta.
@compute @workgroup_size(THREADS)
fn query_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) number: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let block_number = group_number(group, groups);
    if block_number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(block_number);
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let d_y = rows_of(block);
    let thread = Thread(number, subgroup, subgroups);
    let place = place_of(thread, BLOCK);
    let row = block.first + place.row;
    let range = range_of(block, row);
    let query = row_value(block, row);
    let log_sum = lse[query];
    let along = sum_across(thread, place, share_of_delta(d_y, row, place));
    if place.quad == 0u && row < params.sequence {
        delta[query] = along;
    }
    var output: Output;
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += OTHERS) {
        load(thread, OWN, d_y, block.first);
        load(thread, OTHER, v, first);
        var d_weights = products(thread, OWN, OTHER);
        load(thread, OWN, q, block.first);
        load(thread, OTHER, k, first);
        var scores = products(thread, OWN, OTHER);
        for (var i = 0u; i < QUADS; i++) {
            let key = first + 4u * quad_of(place, i);
            var d = d_weights[i];
            if DROPOUT {
                d *= kept(query, key);
            }
            let w = weight(scores[i], log_sum, attends(range, key));
            keep_weights(place.row, quad_of(place, i), w * (d - along));
        }
        add_weighted(thread, 1.0, &output);
    }
    store(q, row, place, &output);
}

// A block of key rows, over the queries that attend to them: the same ranges, since attention is symmetric. A thread has a
// query's quads of own keys, and then a key's quads of elements.
@compute @workgroup_size(THREADS)
fn key_value_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) number: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let block_number = group_number(group, groups);
    if block_number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(block_number);
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let d_y = rows_of(block);
    let thread = Thread(number, subgroup, subgroups);
    let asked = place_of(thread, OTHERS);
    let place = place_of(thread, BLOCK);
    var key_output: Output;
    var value_output: Output;
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += OTHERS) {
        load(thread, OWN, k, block.first);
        load(thread, OTHER, q, first);
        var scores = products(thread, OTHER, OWN);
        load(thread, OWN, v, block.first);
        load(thread, OTHER, d_y, first);
        var d_weights = products(thread, OTHER, OWN);
        let row = first + asked.row;
        let query = row_value(block, row);
        // Past the sequence the log-sum-exp is another row's, and a weight by it may be infinite: none at all, then.
        let range = select(vec2<u32>(), range_of(block, row), row < params.sequence);
        for (var i = 0u; i < QUADS; i++) {
            let quad = quad_of(asked, i);
            let key = block.first + 4u * quad;
            let w = weight(scores[i], lse[query], attends(range, key));
            var mask = vec4<f32>(1.0);
            if DROPOUT {
                mask = kept(query, key);
            }
            keep_weights_transposed(asked.row, quad, w * mask);
            d_weights[i] = w * (d_weights[i] * mask - delta[query]);
        }
        add_weighted(thread, 1.0, &value_output);
        load(thread, OTHER, q, first);
        for (var i = 0u; i < QUADS; i++) {
            keep_weights_transposed(asked.row, quad_of(asked, i), d_weights[i]);
        }
        add_weighted(thread, 1.0, &key_output);
    }
    let row = block.first + place.row;
    store(k, row, place, &key_output);
    store(v, row, place, &value_output);
}
