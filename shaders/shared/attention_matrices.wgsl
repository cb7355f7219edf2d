// Attention on cooperative matrices, f16 into f32, of the SIDE of matrices_16.wgsl or matrices_8.wgsl: a workgroup of 128
// threads has BLOCK own rows of a head and goes through tiles of OTHERS other rows. Own rows lie in matrices throughout, and so
// do the sums that a kernel adds to from tile to tile. WGSL shows no elements of a matrix: scores go through workgroup memory to
// the threads, and weights from the threads to matrices.
//
// Own rows are the right operand and the columns of a result, which is stored by columns: then a lane stores at one address and
// constant distances from it.
//
// Every product of BLOCK rows is done in quarters, by halves of the own rows and of the others or of a head: four subgroups
// take one each, two take the two of a half of the own rows. Of more than four, the rest do as the first four do and store
// nothing. One alone goes through all twice, with the other half of the own rows the second time.
const THREADS: u32 = 128u;
const OTHERS: u32 = 32u;
const STRIPS: u32 = BLOCK / 2u / SIDE; // matrices across a half of the own rows
const DEPTH: u32 = HEAD_DIM / SIDE; // matrices along a head
const PIECES: u32 = (HEAD_DIM + 31u) / 32u * 16u / SIDE; // matrices along a half of a head, rounded up
const SIDE_QUADS: u32 = SIDE / 4u;

// Quads from a row in workgroup memory to the next. Rows are padded so that neighbours begin in different banks.
const ROW: u32 = HEAD_QUADS + 2u; // of a tile
const COLUMN: u32 = OTHERS / 4u + 2u; // of a transposed tile and of weights
const SUM_ROW: u32 = OTHERS / 4u + 1u; // of sums
// Quads of what lies there.
const TILE: u32 = OTHERS * ROW;
const TRANSPOSED: u32 = 2u * PIECES * SIDE * COLUMN;
const WEIGHTS: u32 = BLOCK * COLUMN;
const SUMS: u32 = BLOCK * SUM_ROW;

alias Own = array<Right, STRIPS * DEPTH>;
// Of a half of the own rows, as long as a head: the second half is in use only where a subgroup has both halves of a head.
alias Output = array<Sums, 2u * STRIPS * PIECES>;

struct Thread {
    number: u32,
    row: u32, // the first of the half that its subgroup has
    half: u32, // of the others or of a head that its subgroup has
    second: u32, // how many more halves it has: then this is the first, and the other one is next
    copy: u32, // more than zero where another subgroup does the same
    alone: bool, // whether there is no other subgroup
}

// How often a workgroup has to go through everything.
fn turns(lanes: u32) -> u32 {
    return 1u + lanes / THREADS;
}

// Numbers follow the lanes of subgroups, so that four from a multiple of four on are a quad.
fn thread_of(subgroup: u32, lane: u32, lanes: u32, turn: u32) -> Thread {
    let number = subgroup * lanes + lane;
    let half_block = BLOCK / 2u;
    if lanes >= THREADS / 2u {
        return Thread(number, (subgroup + turn) * half_block, 0u, 1u, 0u, lanes == THREADS);
    }
    let copy = select(subgroup / 4u, 0u, lanes == THREADS / 4u);
    return Thread(number, subgroup / 2u % 2u * half_block, subgroup % 2u, 0u, copy, false);
}

// Whether a row of the block is computed this time.
fn of_turn(thread: Thread, row: u32) -> bool {
    return !thread.alone || row / (BLOCK / 2u) == thread.row / (BLOCK / 2u);
}

// Four neighbouring rows of eight elements, as two quads each.
struct Patch {
    low: array<vec4<f16>, 4>,
    high: array<vec4<f16>, 4>,
}

// A tile has as many patches as a head has elements. Neighbouring patches are two of the same rows, where the head's length
// allows, and then rows further on: whole sectors are loaded, and columns stored to different banks.
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

// As columns, which a product that sums over other rows loads at once.
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

// Brings own rows into matrices, through the start of workgroup memory.
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

// own·tileᵀ, into sums.
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

// output + weights·tile, of a tile that was transposed.
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

// What a thread sees of sums: quads of a row.
const SPREAD: u32 = THREADS / BLOCK; // threads of a row
const PART: u32 = OTHERS / 4u / SPREAD; // quads of each

struct Place {
    row: u32,
    quad: u32,
}

fn place_of(thread: Thread) -> Place {
    return Place(thread.number / SPREAD, thread.number % SPREAD * PART);
}

// An output goes through sums a slice at a time: of either half of a head the same piece.
const SLICE: u32 = 2u * SIDE_QUADS / SPREAD; // quads of a thread

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

// Hands the rows of an output on, each multiplied by its threads' factor.
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

// Which other rows a block goes through: those that any of its rows attends to, in whole tiles.
fn tiles_of(block: Block) -> vec2<u32> {
    let first = range_of(block, block.first).x;
    return vec2<u32>(first / OTHERS * OTHERS, range_of(block, block.first + BLOCK - 1u).y);
}

// Which of four keys a query attends to.
fn attends(range: vec2<u32>, key: u32) -> vec4<bool> {
    return vec4<u32>(key - range.x) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(range.y - range.x);
}

// In a fixed order.
fn sum_of_row(value: f32) -> f32 {
    var sum = value + quadSwapX(value);
    if SPREAD == 4u {
        sum += quadSwapY(sum);
    }
    return sum;
}
