// Attention on cooperative matrices with f16 operands and f32 sums; matrices_16.wgsl or matrices_8.wgsl gives their SIDE. A
// workgroup of 128 threads has BLOCK own rows of a head and loops over tiles of OTHERS other rows. Own rows stay in matrices
// throughout, and so do the sums that a kernel adds to from tile to tile. WGSL cannot access the elements of a matrix, so
// scores go through workgroup memory to the threads, and weights go back to matrices the same way.
//
// Own rows are the right operand, and therefore the columns of a result. A result is stored by columns: then a lane stores at
// one address and at constant offsets from it.
//
// Every product of BLOCK rows is split into quarters: halves of the own rows by halves of the other rows, or of a head. Four
// subgroups take one quarter each; two subgroups take both quarters of one half of the own rows. If there are more than four,
// the rest repeat the work of the first four and store nothing. A single subgroup goes through everything twice, with the other
// half of the own rows the second time.
const THREADS: u32 = 128u;
const OTHERS: u32 = 32u;
const STRIPS: u32 = BLOCK / 2u / SIDE; // matrices across a half of the own rows
const DEPTH: u32 = HEAD_DIM / SIDE; // matrices along a head
const PIECES: u32 = (HEAD_DIM + 31u) / 32u * 16u / SIDE; // matrices along a half of a head, rounded up
const SIDE_QUADS: u32 = SIDE / 4u;

// Strides between rows in workgroup memory, in quads. Rows are padded so that neighbours begin in different banks.
const ROW: u32 = HEAD_QUADS + 2u; // of a tile
const COLUMN: u32 = OTHERS / 4u + 2u; // of a transposed tile and of weights
const SUM_ROW: u32 = OTHERS / 4u + 1u; // of sums
// Sizes in workgroup memory, in quads.
const TILE: u32 = OTHERS * ROW;
const TRANSPOSED: u32 = 2u * PIECES * SIDE * COLUMN;
const WEIGHTS: u32 = BLOCK * COLUMN;
const SUMS: u32 = BLOCK * SUM_ROW;

alias Own = array<Right, STRIPS * DEPTH>;
// Half of the own rows by a whole head. The second half of a head is used only where a subgroup computes both halves.
alias Output = array<Sums, 2u * STRIPS * PIECES>;

struct Thread {
    number: u32,
    row: u32, // the first row of its subgroup's half of the own rows
    half: u32, // its subgroup's half of the other rows, or of a head
    second: u32, // 1 if its subgroup also has the other half, else 0
    copy: u32, // above zero if its subgroup repeats another's work
    alone: bool, // whether the workgroup is a single subgroup
}

// How many times a workgroup goes through everything: twice if it is a single subgroup.
fn turns(lanes: u32) -> u32 {
    return 1u + lanes / THREADS;
}

// Thread numbers follow the lanes of subgroups, so that threads 4n to 4n + 3 are a quad of their subgroup.
fn thread_of(subgroup: u32, lane: u32, lanes: u32, turn: u32) -> Thread {
    let number = subgroup * lanes + lane;
    let half_block = BLOCK / 2u;
    if lanes >= THREADS / 2u {
        return Thread(number, (subgroup + turn) * half_block, 0u, 1u, 0u, lanes == THREADS);
    }
    let copy = select(subgroup / 4u, 0u, lanes == THREADS / 4u);
    return Thread(number, subgroup / 2u % 2u * half_block, subgroup % 2u, 0u, copy, false);
}

// Whether a row of the block is computed in this turn.
fn of_turn(thread: Thread, row: u32) -> bool {
    return !thread.alone || row / (BLOCK / 2u) == thread.row / (BLOCK / 2u);
}

// Four neighbouring rows of eight elements, as two quads each.
struct Patch {
    low: array<vec4<f16>, 4>,
    high: array<vec4<f16>, 4>,
}

// A tile has as many patches as a head has elements. Their order goes through pairs in the same rows, where the head's length
// allows, and then down the rows: so loads take whole sectors, and columns are stored to different banks.
const PAIR: u32 = 1u + u32(HEAD_DIM % 16u == 0u);

fn patch_row(n: u32) -> u32 {
    return n / PAIR % 8u * 4u;
}

fn patch_quad(n: u32) -> u32 {
    return 2u * (n / (8u * PAIR) * PAIR + n % PAIR);
}

// Rows past the sequence repeat its last one: nothing attends to them.
fn load_patch(lines: Lines, first: u32, n: u32) -> Patch {
    var rows: Patch;
    for (var i = 0u; i < 4u; i++) {
        let row = min(first + patch_row(n) + i, params.sequence - 1u);
        let at = lines.start + row * lines.stride + patch_quad(n);
        rows.low[i] = quad_at(lines.gradient, at);
        rows.high[i] = quad_at(lines.gradient, at + 1u);
    }
    return rows;
}

fn store_patch(rows: Patch, tile: u32, n: u32) {
    let at = tile + patch_row(n) * ROW + patch_quad(n);
    for (var i = 0u; i < 4u; i++) {
        put(at + i * ROW, rows.low[i]);
        put(at + i * ROW + 1u, rows.high[i]);
    }
}

// Stores a patch transposed, for products that sum over other rows (`add_weighted`).
fn store_transposed(rows: Patch, tile: u32, n: u32) {
    let at = tile + 4u * patch_quad(n) * COLUMN + patch_row(n) / 4u;
    for (var i = 0u; i < 4u; i++) {
        put(at + i * COLUMN, column_of(rows.low, i));
        put(at + (4u + i) * COLUMN, column_of(rows.high, i));
    }
}

fn column_of(rows: array<vec4<f16>, 4>, i: u32) -> vec4<f16> {
    return vec4<f16>(rows[0][i], rows[1][i], rows[2][i], rows[3][i]);
}

const OWN_PATCHES: u32 = BLOCK / OTHERS * HEAD_DIM;

// Loads own rows into matrices by way of the start of workgroup memory.
fn load_own(thread: Thread, lines: Lines, first: u32) -> Own {
    workgroupBarrier();
    for (var start = 0u; start < OWN_PATCHES; start += THREADS) {
        let n = start + thread.number;
        if n < OWN_PATCHES {
            let tile = n / HEAD_DIM;
            let rows = load_patch(lines, first + tile * OTHERS, n % HEAD_DIM);
            store_patch(rows, tile * TILE, n % HEAD_DIM);
        }
    }
    workgroupBarrier();
    var own: Own;
    for (var strip = 0u; strip < STRIPS; strip++) {
        for (var i = 0u; i < DEPTH; i++) {
            let at = ENTRIES * ((thread.row + strip * SIDE) * ROW + i * SIDE_QUADS);
            own[strip * DEPTH + i] = coopLoad<Right>(&halves[at], ENTRIES * ROW);
        }
    }
    workgroupBarrier();
    return own;
}

// Writes own·tileᵀ to `sums`.
fn multiply(thread: Thread, own: ptr<function, Own>, tile: u32) {
    multiply_half(thread, own, tile, thread.half);
    for (var more = thread.second; more > 0u; more--) {
        multiply_half(thread, own, tile, 1u);
    }
}

fn multiply_half(thread: Thread, own: ptr<function, Own>, tile: u32, half: u32) {
    for (var other = 0u; other < OTHERS / 2u; other += SIDE) {
        let row = half * OTHERS / 2u + other;
        var products: array<Sums, STRIPS>;
        for (var i = 0u; i < DEPTH; i++) {
            let at = ENTRIES * (tile + row * ROW + i * SIDE_QUADS);
            let left = coopLoadT<Left>(&halves[at], ENTRIES * ROW);
            for (var strip = 0u; strip < STRIPS; strip++) {
                products[strip] = coopMultiplyAdd(left, (*own)[strip * DEPTH + i], products[strip]);
            }
        }
        for (var strip = 0u; strip < STRIPS; strip++) {
            store_sums(thread, products[strip], strip, row / 4u);
        }
    }
}

fn store_sums(thread: Thread, matrix: Sums, strip: u32, quad: u32) {
    let at = ENTRIES * ((thread.row + strip * SIDE) * SUM_ROW + quad);
    let stride = ENTRIES * SUM_ROW;
    for (var copy = thread.copy; copy < 1u; copy++) {
        coopStore(matrix, &sums[at], stride);
    }
}

// Adds weights·tile to the output; the tile was stored transposed.
fn add_weighted(thread: Thread, weights: u32, tile: u32, output: ptr<function, Output>) {
    for (var i = 0u; i < OTHERS / SIDE; i++) {
        var right: array<Right, STRIPS>;
        for (var strip = 0u; strip < STRIPS; strip++) {
            let at = ENTRIES * (weights + (thread.row + strip * SIDE) * COLUMN + i * SIDE_QUADS);
            right[strip] = coopLoad<Right>(&halves[at], ENTRIES * COLUMN);
        }
        let terms = tile + i * SIDE_QUADS;
        add_half(&right, terms, thread.half, output, 0u);
        for (var more = thread.second; more > 0u; more--) {
            add_half(&right, terms, 1u, output, PIECES);
        }
    }
}

fn add_half(right: ptr<function, array<Right, STRIPS>>, terms: u32, half: u32, output: ptr<function, Output>, start: u32) {
    for (var piece = 0u; piece < PIECES; piece++) {
        let at = ENTRIES * (terms + (half * PIECES + piece) * SIDE * COLUMN);
        let left = coopLoadT<Left>(&halves[at], ENTRIES * COLUMN);
        for (var strip = 0u; strip < STRIPS; strip++) {
            let n = (start + piece) * STRIPS + strip;
            (*output)[n] = coopMultiplyAdd(left, (*right)[strip], (*output)[n]);
        }
    }
}

// After a product each thread reads some quads of one row of `sums`.
const SPREAD: u32 = THREADS / BLOCK; // threads per row
const PART: u32 = OTHERS / 4u / SPREAD; // quads per thread

struct Place {
    row: u32,
    quad: u32,
}

fn place_of(thread: Thread) -> Place {
    return Place(thread.number / SPREAD, thread.number % SPREAD * PART);
}

// An output goes through `sums` one slice at a time. A slice is the same piece of each half of a head.
const SLICE: u32 = 2u * SIDE_QUADS / SPREAD; // quads per thread

fn slice_quad(thread: Thread) -> u32 {
    return thread.number % SPREAD * SLICE;
}

fn put_slice(thread: Thread, output: ptr<function, Output>, piece: u32) {
    for (var strip = 0u; strip < STRIPS; strip++) {
        store_sums(thread, (*output)[piece * STRIPS + strip], strip, thread.half * SIDE_QUADS);
        for (var more = thread.second; more > 0u; more--) {
            store_sums(thread, (*output)[(PIECES + piece) * STRIPS + strip], strip, SIDE_QUADS);
        }
    }
}

// Stores the rows of an output, each multiplied by `factor`, which the threads of a row share.
fn store_rows(thread: Thread, lines: Lines, row: u32, output: ptr<function, Output>, factor: f32, stores: bool) {
    let slice = slice_quad(thread);
    for (var piece = 0u; piece < PIECES; piece++) {
        workgroupBarrier();
        put_slice(thread, output, piece);
        workgroupBarrier();
        let quad = (slice / SIDE_QUADS * PIECES + piece) * SIDE_QUADS + slice % SIDE_QUADS;
        if stores && quad < HEAD_QUADS {
            let at = lines.start + row * lines.stride + quad;
            for (var i = 0u; i < SLICE; i++) {
                let value = sum_at(thread.number / SPREAD * SUM_ROW + slice + i);
                store_quad(at + i, vec4<f16>(value * factor));
            }
        }
    }
}

// The other rows that a block loops over: those that any own row attends to, from the start of a tile.
fn tiles_of(block: Block) -> vec2<u32> {
    let first = range_of(block, block.first).x;
    return vec2<u32>(first / OTHERS * OTHERS, range_of(block, block.first + BLOCK - 1u).y);
}

// Which of four keys a query attends to.
fn attends(range: vec2<u32>, key: u32) -> vec4<bool> {
    return vec4<u32>(key - range.x) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(range.y - range.x);
}

// The sum over the threads of a row, in a fixed order.
fn sum_of_row(value: f32) -> f32 {
    var sum = value + quadSwapX(value);
    if SPREAD == 4u {
        sum += quadSwapY(sum);
    }
    return sum;
}
