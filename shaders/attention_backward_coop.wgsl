@group(0) @binding(1) var<storage, read> qkv: array<vec4<f16>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read> y: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> lse: array<f32>; // [B, heads, T]
@group(0) @binding(6) var<storage, read> dy: array<vec4<f16>>;
@group(0) @binding(7) var<storage, read_write> delta: array<f32>; // [B, heads, T]
@group(0) @binding(8) var<storage, read_write> d_qkv: array<vec4<f16>>;

const BLOCK: u32 = 32u;

// Where things lie in `halves`. The gradients of queries need keys, values and transposed keys; weights take the place of a
// tile that has been multiplied already.
const AREA: u32 = max(TILE, WEIGHTS);
const KEYS: u32 = 0u;
const VALUES: u32 = AREA;
const KEYS_TRANSPOSED: u32 = 2u * AREA;
// The gradients of keys and values need queries and gradients of y, each plain and transposed.
//
// With long heads these don't fit in 32 KiB. There the transposed tile takes the place of the plain one, at the price of two
// barriers. Registers are short too, so tiles aren't prefetched during a product: they are loaded twice, each time just before
// they are stored.
const LONG: bool = HEAD_DIM > 64u;
const QUERIES: u32 = 0u;
const GRADIENTS: u32 = select(AREA, TRANSPOSED, LONG);
const QUERIES_TRANSPOSED: u32 = select(2u * AREA, QUERIES, LONG);
const GRADIENTS_TRANSPOSED: u32 = select(2u * AREA + TRANSPOSED, GRADIENTS, LONG);
const CHANCES: u32 = select(QUERIES, 2u * TRANSPOSED, LONG);
const D_SCORES: u32 = select(GRADIENTS, 2u * TRANSPOSED + WEIGHTS, LONG);
const HALVES: u32 = select(2u * (AREA + TRANSPOSED), max(2u * AREA + TRANSPOSED, 2u * (TRANSPOSED + WEIGHTS)), LONG);

fn quad_at(gradient: bool, place: u32) -> vec4<f16> {
    if gradient {
        return dy[place];
    }
    return qkv[place];
}

fn store_quad(place: u32, value: vec4<f16>) {
    d_qkv[place] = value;
}

fn row_value(block: Block, row: u32) -> u32 {
    return block.head * params.sequence + min(row, params.sequence - 1u);
}

fn weight(score: vec4<f32>, log_sum: vec4<f32>, inside: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(), exp(clamp(score - log_sum, vec4<f32>(-87.0), vec4<f32>(87.0))), inside);
}

// A thread's share of two tiles.
const PATCHES: u32 = (2u * HEAD_DIM + THREADS - 1u) / THREADS;
alias Patches = array<Patch, PATCHES>;

fn load_tiles(thread: Thread, one: Lines, other: Lines, first: u32) -> Patches {
    var patches: Patches;
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        if n < HEAD_DIM {
            patches[i] = load_patch(one, first, n);
        } else if n < 2u * HEAD_DIM {
            patches[i] = load_patch(other, first, n - HEAD_DIM);
        }
    }
    return patches;
}

fn store_one(thread: Thread, patches: ptr<function, Patches>, tile: u32) {
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        if n < HEAD_DIM {
            store_patch((*patches)[i], tile, n);
        }
    }
}

fn store_other(thread: Thread, patches: ptr<function, Patches>, tile: u32) {
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        if n >= HEAD_DIM && n < 2u * HEAD_DIM {
            store_patch((*patches)[i], tile, n - HEAD_DIM);
        }
    }
}

fn store_one_transposed(thread: Thread, patches: ptr<function, Patches>, tile: u32) {
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        if n < HEAD_DIM {
            store_transposed((*patches)[i], tile, n);
        }
    }
}

fn store_other_transposed(thread: Thread, patches: ptr<function, Patches>, tile: u32) {
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        if n >= HEAD_DIM && n < 2u * HEAD_DIM {
            store_transposed((*patches)[i], tile, n - HEAD_DIM);
        }
    }
}

// Handles a block of query rows, over the keys they attend to. It also writes each row's Σ dy·y to `delta`; the gradient of the
// softmax needs that.
@compute @workgroup_size(THREADS)
fn query_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    let block_number = group_number(group, groups);
    if block_number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(block_number);
    add_up_queries(thread_of(subgroup, lane, lanes, 0u), block);
    for (var turn = 1u; turn < turns(lanes); turn++) {
        add_up_queries(thread_of(subgroup, lane, lanes, turn), block);
    }
}

fn add_up_queries(thread: Thread, block: Block) {
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let d_y = rows_of(block);
    let place = place_of(thread);
    let row = block.first + place.row;
    let stores = row < params.sequence && of_turn(thread, place.row);
    let range = range_of(block, row);
    let query = row_value(block, row);
    let log_sum = vec4<f32>(lse[query]);
    let along = sum_of_row(share_of_delta(d_y, row, place));
    if stores && place.quad == 0u {
        delta[query] = along;
    }
    let tiles = tiles_of(block);
    var queries = load_own(thread, q, block.first);
    var gradients = load_own(thread, d_y, block.first);
    var output: Output;
    var next = load_tiles(thread, k, v, tiles.x);
    store_one(thread, &next, KEYS);
    workgroupBarrier();
    for (var first = tiles.x; first < tiles.y; first += OTHERS) {
        multiply(thread, &queries, KEYS);
        workgroupBarrier();
        var weights: array<vec4<f32>, PART>;
        for (var i = 0u; i < PART; i++) {
            let score = sum_at(place.row * SUM_ROW + place.quad + i);
            weights[i] = weight(score, log_sum, attends(range, first + 4u * (place.quad + i)));
        }
        if LONG {
            next = load_tiles(thread, k, v, first);
        }
        store_other(thread, &next, VALUES);
        store_one_transposed(thread, &next, KEYS_TRANSPOSED);
        if !LONG {
            next = load_tiles(thread, k, v, first + OTHERS);
        }
        workgroupBarrier();
        multiply(thread, &gradients, VALUES);
        workgroupBarrier();
        var words: vec4<u32>;
        for (var i = 0u; i < PART; i++) {
            var d_weight = sum_at(place.row * SUM_ROW + place.quad + i);
            if DROPOUT {
                let key = first + 4u * (place.quad + i);
                if i % 2u == 0u {
                    words = words_of_query(query, key / 8u);
                }
                d_weight *= masks_of_half(params.dropout, words, i % 2u);
            }
            let d_score = weights[i] * (d_weight - vec4<f32>(along));
            put(VALUES + place.row * COLUMN + place.quad + i, vec4<f16>(d_score));
        }
        if LONG {
            next = load_tiles(thread, k, v, first + OTHERS);
        }
        store_one(thread, &next, KEYS);
        workgroupBarrier();
        add_weighted(thread, VALUES, KEYS_TRANSPOSED, &output);
    }
    store_rows(thread, q, row, &output, 1.0, stores);
}

// A row's Σ dy·y over the thread's quads.
fn share_of_delta(lines: Lines, row: u32, place: Place) -> f32 {
    var sum = 0.0;
    for (var quad = place.quad / PART; quad < HEAD_QUADS; quad += SPREAD) {
        let at = lines.start + min(row, params.sequence - 1u) * lines.stride + quad;
        sum += dot(vec4<f32>(dy[at]), vec4<f32>(y[at]));
    }
    return sum;
}

// Handles a block of key rows, over the queries that attend to them: the same ranges, since attention is symmetric.
@compute @workgroup_size(THREADS)
fn key_value_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    let block_number = group_number(group, groups);
    if block_number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(block_number);
    add_up_keys(thread_of(subgroup, lane, lanes, 0u), block);
    for (var turn = 1u; turn < turns(lanes); turn++) {
        add_up_keys(thread_of(subgroup, lane, lanes, turn), block);
    }
}

// A thread reads the sums of two keys for four queries; its neighbour has the other two of a quad of keys.
fn add_up_keys(thread: Thread, block: Block) {
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let d_y = rows_of(block);
    let pair = thread.number % 2u;
    let quad = thread.number / 2u % (OTHERS / 4u);
    let four = thread.number / (OTHERS / 2u) * 4u;
    let key = four + 2u * pair;
    let ranges = array<vec2<u32>, 2>(range_of(block, block.first + key), range_of(block, block.first + key + 1u));
    let tiles = tiles_of(block);
    var keys = load_own(thread, k, block.first);
    var values = load_own(thread, v, block.first);
    var key_output: Output;
    var value_output: Output;
    var next = load_tiles(thread, q, d_y, tiles.x);
    store_one(thread, &next, QUERIES);
    if LONG {
        store_other(thread, &next, GRADIENTS);
    }
    workgroupBarrier();
    for (var first = tiles.x; first < tiles.y; first += OTHERS) {
        multiply(thread, &keys, QUERIES);
        let query = first + 4u * quad;
        let log_sum = log_sums_of(block, query);
        let along = deltas_of(block, query);
        workgroupBarrier();
        var weights: array<vec4<f32>, 2>;
        var masks = array<vec4<f32>, 2>(vec4<f32>(1.0), vec4<f32>(1.0));
        if DROPOUT {
            masks = masks_of(block, query, block.first + four, pair);
        }
        for (var i = 0u; i < 2u; i++) {
            let score = sum_at((key + i) * SUM_ROW + quad);
            weights[i] = weight(score, log_sum, attends(ranges[i], query));
            put(CHANCES + (key + i) * COLUMN + quad, vec4<f16>(weights[i] * masks[i]));
            // A negative sign marks a weight that was dropped.
            weights[i] = select(weights[i], -weights[i], masks[i] == vec4<f32>());
        }
        if LONG {
            next = load_tiles(thread, q, d_y, first);
        }
        store_one_transposed(thread, &next, QUERIES_TRANSPOSED);
        if !LONG {
            store_other(thread, &next, GRADIENTS);
            store_other_transposed(thread, &next, GRADIENTS_TRANSPOSED);
            next = load_tiles(thread, q, d_y, first + OTHERS);
        }
        workgroupBarrier();
        multiply(thread, &values, GRADIENTS);
        if !LONG {
            add_weighted(thread, CHANCES, GRADIENTS_TRANSPOSED, &value_output);
        }
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
            var d_weight = sum_at((key + i) * SUM_ROW + quad);
            if DROPOUT {
                d_weight *= select(vec4<f32>(dropout_scale(params.dropout)), vec4<f32>(), weights[i] < vec4<f32>());
            }
            put(D_SCORES + (key + i) * COLUMN + quad, vec4<f16>(abs(weights[i]) * (d_weight - along)));
        }
        if LONG {
            next = load_tiles(thread, q, d_y, first);
            store_other_transposed(thread, &next, GRADIENTS_TRANSPOSED);
        } else {
            store_one(thread, &next, QUERIES);
        }
        workgroupBarrier();
        add_weighted(thread, D_SCORES, QUERIES_TRANSPOSED, &key_output);
        if LONG {
            add_weighted(thread, CHANCES, GRADIENTS_TRANSPOSED, &value_output);
            workgroupBarrier();
            next = load_tiles(thread, q, d_y, first + OTHERS);
            store_one(thread, &next, QUERIES);
            store_other(thread, &next, GRADIENTS);
            workgroupBarrier();
        }
    }
    let own = thread.number / SPREAD;
    let stores = block.first + own < params.sequence && of_turn(thread, own);
    store_rows(thread, k, block.first + own, &key_output, 1.0, stores);
    store_rows(thread, v, block.first + own, &value_output, 1.0, stores);
}

// The log-sum-exp of four queries.
fn log_sums_of(block: Block, row: u32) -> vec4<f32> {
    return vec4<f32>(
        lse[row_value(block, row)],
        lse[row_value(block, row + 1u)],
        lse[row_value(block, row + 2u)],
        lse[row_value(block, row + 3u)],
    );
}

fn deltas_of(block: Block, row: u32) -> vec4<f32> {
    return vec4<f32>(
        delta[row_value(block, row)],
        delta[row_value(block, row + 1u)],
        delta[row_value(block, row + 2u)],
        delta[row_value(block, row + 3u)],
    );
}

// Dropout's factors for the weights of four queries and two of a quad of keys. One draw covers a query and the whole quad, so a
// thread makes two draws and takes the other two from its neighbour.
fn masks_of(block: Block, query: u32, key: u32, pair: u32) -> array<vec4<f32>, 2> {
    let odd = pair == 1u;
    let mine = array<vec4<f32>, 2>(
        masks_of_query(row_value(block, query + 2u * pair), key / 4u),
        masks_of_query(row_value(block, query + 2u * pair + 1u), key / 4u),
    );
    let theirs = array<vec4<f32>, 2>(quadSwapX(mine[0]), quadSwapX(mine[1]));
    let a = select(mine[0].xy, theirs[0].zw, odd);
    let b = select(mine[1].xy, theirs[1].zw, odd);
    let c = select(theirs[0].xy, mine[0].zw, odd);
    let d = select(theirs[1].xy, mine[1].zw, odd);
    return array<vec4<f32>, 2>(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
}
