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

fn probability(score: vec4<f32>, log_sum: vec4<f32>) -> vec4<f32> {
    return exp(clamp(score - log_sum, vec4<f32>(-87.0), vec4<f32>(87.0)));
}

// Sets the weights of rows that do not attend to each other to zero.
fn mask(weights: ptr<function, Tile>, block: Block, first: u32, thread: Thread) {
    if !attends_wholly(block, first) {
        for (var i = 0u; i < ROWS; i++) {
            let inside = attends(block, block.first + ROWS * thread.line + i, first + 4u * thread.column);
            (*weights)[i] = select(vec4<f32>(), (*weights)[i], inside);
        }
    }
}

fn store(lines: Lines, row: u32, value: ptr<function, Tile>, thread: Thread) {
    if thread.column < HEAD_QUADS {
        for (var i = 0u; i < ROWS; i++) {
            if row + i < params.sequence {
                d_qkv[lines.start + (row + i) * lines.stride + thread.column] = vec4<Real>((*value)[i]);
            }
        }
    }
}

fn row_value(block: Block, row: u32) -> u32 {
    return block.head * params.sequence + min(row, params.sequence - 1u);
}

// Σ dy·y for each of the thread's rows.
fn delta_of(block: Block, thread: Thread) -> Column {
    let lines = rows_of(block);
    var parts: Column;
    if thread.column < HEAD_QUADS {
        for (var i = 0u; i < ROWS; i++) {
            let row = min(block.first + ROWS * thread.line + i, params.sequence - 1u);
            let at = lines.start + row * lines.stride + thread.column;
            parts[i] = dot(vec4<f32>(dy[at]), vec4<f32>(y[at]));
        }
    }
    return sum_across(parts, thread);
}

// Handles a block of query rows, over the keys they attend to. It also writes each row's Σ dy·y to `delta`; the gradient of the
// softmax needs that.
@compute @workgroup_size(THREADS)
fn query_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_number: u32,
) {
    let number = group_number(group, groups);
    if number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(number);
    let thread = thread_of(thread_number);
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let d_y = rows_of(block);
    let row = block.first + ROWS * thread.line;
    let along = delta_of(block, thread);
    var log_sums: Column;
    for (var i = 0u; i < ROWS; i++) {
        log_sums[i] = lse[row_value(block, row + i)];
        if thread.column == 0u && row + i < params.sequence {
            delta[row_value(block, row + i)] = along[i];
        }
    }
    var sum: Tile;
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += OTHERS) {
        var weights = products(q, block.first, k, first, thread);
        for (var i = 0u; i < ROWS; i++) {
            weights[i] = probability(weights[i], vec4<f32>(log_sums[i]));
        }
        mask(&weights, block, first, thread);
        var d = products(d_y, block.first, v, first, thread);
        if DROPOUT {
            let key = first + 4u * thread.column;
            var bits = 0u;
            for (var i = 0u; i < ROWS; i++) {
                bits |= kept_bits(block.head * params.sequence + row + i, key) << (4u * i);
            }
            for (var i = 0u; i < ROWS; i++) {
                d[i] *= kept_at(bits, 4u * i + vec4<u32>(0u, 1u, 2u, 3u));
            }
        }
        for (var i = 0u; i < ROWS; i++) {
            d[i] = weights[i] * (d[i] - along[i]);
        }
        add_weighted(&sum, &d, k, first, thread);
    }
    store(q, row, &sum, thread);
}

// The places of the bits of own key i and the thread's four queries. A query has a bit for each key of a quad.
fn kept_places(i: u32) -> vec4<u32> {
    return i / 4u * 16u + i % 4u + vec4<u32>(0u, 4u, 8u, 12u);
}

// Handles a block of key rows, over the queries that attend to them: the same ranges, since attention is symmetric.
@compute @workgroup_size(THREADS)
fn key_value_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_number: u32,
) {
    let number = group_number(group, groups);
    if number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(number);
    let thread = thread_of(thread_number);
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let d_y = rows_of(block);
    let row = block.first + ROWS * thread.line;
    var key_sum: Tile;
    var value_sum: Tile;
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += OTHERS) {
        let query = first + 4u * thread.column;
        let at = vec4<u32>(
            row_value(block, query), row_value(block, query + 1u),
            row_value(block, query + 2u), row_value(block, query + 3u),
        );
        var weights = products(k, block.first, q, first, thread);
        let log_sum = vec4<f32>(lse[at.x], lse[at.y], lse[at.z], lse[at.w]);
        for (var i = 0u; i < ROWS; i++) {
            weights[i] = probability(weights[i], log_sum);
        }
        mask(&weights, block, first, thread);
        var bits = 0u;
        var dropped = weights;
        if DROPOUT {
            for (var j = 0u; j < ROWS; j++) {
                bits |= kept_bits(row_value(block, query + j % 4u), row + j / 4u * 4u) << (4u * j);
            }
            for (var i = 0u; i < ROWS; i++) {
                dropped[i] *= kept_at(bits, kept_places(i));
            }
        }
        add_weighted(&value_sum, &dropped, d_y, first, thread);
        var d = products(v, block.first, d_y, first, thread);
        let along = vec4<f32>(delta[at.x], delta[at.y], delta[at.z], delta[at.w]);
        for (var i = 0u; i < ROWS; i++) {
            if DROPOUT {
                d[i] *= kept_at(bits, kept_places(i));
            }
            d[i] = weights[i] * (d[i] - along);
        }
        add_weighted(&key_sum, &d, q, first, thread);
    }
    store(k, row, &key_sum, thread);
    store(v, row, &value_sum, thread);
}
