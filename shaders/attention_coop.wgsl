@group(0) @binding(1) var<storage, read> qkv: array<vec4<f16>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [B, heads, T]

const BLOCK: u32 = 64u - 32u * u32(HEAD_DIM > 64u); // keeps workgroup memory within 32 KiB

// Where things lie in `halves`.
const KEYS: u32 = 0u;
const VALUES: u32 = TILE;
const CHANCES: u32 = VALUES + TRANSPOSED;
const HALVES: u32 = CHANCES + WEIGHTS;

fn quad_at(gradient: bool, place: u32) -> vec4<f16> {
    return qkv[place];
}

fn store_quad(place: u32, value: vec4<f16>) {
    y[place] = value;
}

// A row's weights are relative to `most`. It follows the row's largest score only when that is more than LAG ahead, so that
// outputs in matrices are rescaled rarely, as in FlashAttention-4 (2025). Weights up to exp(LAG) keep their precision in f16.
const LAG: f32 = 5.0;
const UNSEEN: f32 = -1e29; // above masked scores, below all others
const LOG2_E: f32 = 1.44269504;

// The first key of the tile that last made outputs rescale, plus one.
var<workgroup> rescaled: atomic<u32>;

@compute @workgroup_size(THREADS)
fn main(
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
    attend(thread_of(subgroup, lane, lanes, 0u), block);
    // The first turn is outside the loop, so that drivers that know the number of lanes can leave the loop out.
    for (var turn = 1u; turn < turns(lanes); turn++) {
        attend(thread_of(subgroup, lane, lanes, turn), block);
    }
}

fn attend(thread: Thread, block: Block) {
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let place = place_of(thread);
    let row = block.first + place.row;
    let stores = row < params.sequence && of_turn(thread, place.row);
    let range = range_of(block, row);
    let query = block.head * params.sequence + row;
    let tiles = tiles_of(block);
    var own = load_own(thread, part_of(block, 0u), block.first);
    var output: Output;
    var next = load_tiles(thread, k, tiles.x, v, tiles.x);
    store_tiles(thread, &next);
    next = load_tiles(thread, k, tiles.x + OTHERS, v, tiles.x);
    if thread.number == 0u {
        atomicStore(&rescaled, 0u);
    }
    var most = UNSEEN;
    var total = 0.0;
    workgroupBarrier();
    for (var first = tiles.x; first < tiles.y; first += OTHERS) {
        multiply(thread, &own, KEYS);
        workgroupBarrier();
        var scores: array<vec4<f32>, PART>;
        var largest = most;
        for (var i = 0u; i < PART; i++) {
            let inside = attends(range, first + 4u * (place.quad + i));
            scores[i] = select(vec4<f32>(10.0 * UNSEEN), sum_at(place.row * SUM_ROW + place.quad + i), inside);
            largest = max(largest, max(max(scores[i].x, scores[i].y), max(scores[i].z, scores[i].w)));
        }
        largest = max_of_row(largest);
        let follows = largest > most + LAG;
        if follows && most > UNSEEN {
            atomicStore(&rescaled, first + 1u);
        }
        let keep = select(1.0, exp(max(most - largest, -87.0)), follows);
        most = select(most, largest, follows);
        total *= keep;
        var words: vec4<u32>;
        for (var i = 0u; i < PART; i++) {
            let ahead = fma(scores[i], vec4<f32>(LOG2_E), vec4<f32>(-most * LOG2_E));
            var weight = exp2(max(ahead, vec4<f32>(-126.0)));
            total += (weight.x + weight.y) + (weight.z + weight.w);
            if DROPOUT {
                let key = first + 4u * (place.quad + i);
                if i % 2u == 0u {
                    words = words_of_query(query, key / 8u);
                }
                weight *= masks_of_half(params.dropout, words, i % 2u);
            }
            put(CHANCES + place.row * COLUMN + place.quad + i, vec4<f16>(weight));
        }
        store_tiles(thread, &next);
        next = load_tiles(thread, k, first + 2u * OTHERS, v, first + OTHERS);
        workgroupBarrier();
        if atomicLoad(&rescaled) == first + 1u {
            rescale(thread, &output, keep);
        }
        add_weighted(thread, CHANCES, VALUES, &output);
    }
    total = sum_of_row(total);
    store_rows(thread, rows_of(block), row, &output, 1.0 / total, stores);
    if stores && place.quad == 0u {
        lse[query] = most + log(total);
    }
}

// A thread's share of two tiles: the next keys, and the values of the keys before them.
const PATCHES: u32 = (2u * HEAD_DIM + THREADS - 1u) / THREADS;
alias Patches = array<Patch, PATCHES>;

fn load_tiles(thread: Thread, k: Lines, key: u32, v: Lines, value: u32) -> Patches {
    var patches: Patches;
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        let of_keys = n < HEAD_DIM;
        let lines = Lines(select(v.start, k.start, of_keys), HEAD_QUADS, false);
        patches[i] = load_patch(lines, select(value, key, of_keys), n % HEAD_DIM);
    }
    return patches;
}

fn store_tiles(thread: Thread, patches: ptr<function, Patches>) {
    for (var i = 0u; i < PATCHES; i++) {
        let n = thread.number + i * THREADS;
        if n < HEAD_DIM {
            store_patch((*patches)[i], KEYS, n);
        } else if n < 2u * HEAD_DIM {
            store_transposed((*patches)[i], VALUES, n - HEAD_DIM);
        }
    }
}

// Multiplies each row of the output by its threads' factor.
fn rescale(thread: Thread, output: ptr<function, Output>, factor: f32) {
    let at = thread.number / SPREAD * SUM_ROW + slice_quad(thread);
    for (var piece = 0u; piece < PIECES; piece++) {
        put_slice(thread, output, piece);
        workgroupBarrier();
        for (var i = 0u; i < SLICE; i++) {
            put_sum(at + i, sum_at(at + i) * factor);
        }
        workgroupBarrier();
        take_slice(thread, output, piece);
        workgroupBarrier();
    }
}

fn take_slice(thread: Thread, output: ptr<function, Output>, piece: u32) {
    for (var strip = 0u; strip < STRIPS; strip++) {
        (*output)[piece * STRIPS + strip] = load_sums(thread, strip, thread.half * SIDE_QUADS);
        for (var more = thread.second; more > 0u; more--) {
            (*output)[(PIECES + piece) * STRIPS + strip] = load_sums(thread, strip, SIDE_QUADS);
        }
    }
}

fn load_sums(thread: Thread, strip: u32, quad: u32) -> Sums {
    let at = ENTRIES * ((thread.row + strip * SIDE) * SUM_ROW + quad);
    return coopLoad<Sums>(&sums[at], ENTRIES * SUM_ROW);
}

fn max_of_row(value: f32) -> f32 {
    var largest = max(value, quadSwapX(value));
    if SPREAD == 4u {
        largest = max(largest, quadSwapY(largest));
    }
    return largest;
}
