// Attention in tiles (Dao et al., FlashAttention, 2022): a workgroup has BLOCK rows of a head and loops over the other rows
// that any of them attends to, OTHERS at a time. Its threads form LINES lines of COLUMNS threads each. A thread computes ROWS
// own rows by one quad: of other rows in a product of rows, or of a head's elements in a sum of weighted rows. ROWS comes from
// attention_rows_8.wgsl or attention_rows_4.wgsl; the shader that follows this file gives
//   quad_at(gradient, place)     four elements of qkv, or of dy
const COLUMNS: u32 = max(HEAD_QUADS, 8u);
// 32 rows where 64 would take more than 256 threads.
const BLOCK: u32 = 64u - 32u * u32(64u / ROWS * COLUMNS > 256u);
const LINES: u32 = BLOCK / ROWS;
const THREADS: u32 = LINES * COLUMNS;
const OTHERS: u32 = 4u * COLUMNS;
// The quads in workgroup memory at a time: of elements in a product, of other rows in a sum.
const DEPTH: u32 = 4u + 4u * u32(COLUMNS <= 16u);
const OWN_LOADS: u32 = (BLOCK * DEPTH + THREADS - 1u) / THREADS;
const OTHER_LOADS: u32 = 4u * DEPTH / LINES;

// Own rows [row, quad] or weights [own row, quad of others]; from OTHER on, other rows [row, quad].
var<workgroup> stage: array<vec4<f32>, 1024>;
const OTHER: u32 = 512u;

// ROWS rows by a quad.
alias Tile = array<vec4<f32>, ROWS>;
// One number per row.
alias Column = array<f32, ROWS>;

// A thread's line and its place in it.
struct Thread {
    number: u32,
    line: u32,
    column: u32,
}

fn thread_of(number: u32) -> Thread {
    return Thread(number, number / COLUMNS, number % COLUMNS);
}

// Four elements of a row. Past the end of the sequence or the head it is the last row or quad, which no result uses.
fn load(lines: Lines, row: u32, quad: u32) -> vec4<f32> {
    let at = lines.start + min(row, params.sequence - 1u) * lines.stride + min(quad, HEAD_QUADS - 1u);
    return quad_at(lines.gradient, at);
}

// Where a quad of a row lies. Neighbouring threads read every fourth row, and the XOR puts these in different banks.
fn place_of(row: u32, quad: u32) -> u32 {
    return row * DEPTH + (quad ^ (row / 4u % DEPTH));
}

// The dot products of the thread's own rows with its quad of other rows.
fn products(own: Lines, own_first: u32, other: Lines, other_first: u32, thread: Thread) -> Tile {
    var tile: Tile;
    for (var first = 0u; first < HEAD_QUADS; first += DEPTH) {
        var own_quads: array<vec4<f32>, OWN_LOADS>;
        var other_quads: array<vec4<f32>, OTHER_LOADS>;
        for (var i = 0u; i < OWN_LOADS; i++) {
            let n = thread.number + i * THREADS;
            own_quads[i] = load(own, own_first + n / DEPTH, first + n % DEPTH);
        }
        for (var i = 0u; i < OTHER_LOADS; i++) {
            let n = thread.number + i * THREADS;
            other_quads[i] = load(other, other_first + n / DEPTH, first + n % DEPTH);
        }
        workgroupBarrier();
        for (var i = 0u; i < OWN_LOADS; i++) {
            let n = thread.number + i * THREADS;
            if BLOCK * DEPTH % THREADS == 0u || n < BLOCK * DEPTH {
                stage[n] = own_quads[i];
            }
        }
        for (var i = 0u; i < OTHER_LOADS; i++) {
            let n = thread.number + i * THREADS;
            stage[OTHER + place_of(n / DEPTH, n % DEPTH)] = other_quads[i];
        }
        workgroupBarrier();
        for (var quad = 0u; quad < min(DEPTH, HEAD_QUADS - first); quad++) {
            let at_own = thread.line * (ROWS * DEPTH) + quad;
            let at = OTHER + place_of(4u * thread.column, quad);
            let y = transpose(mat4x4<f32>(stage[at], stage[at + DEPTH], stage[at + 2u * DEPTH], stage[at + 3u * DEPTH]));
            for (var i = 0u; i < ROWS; i++) {
                let x = stage[at_own + i * DEPTH];
                tile[i] = fma(vec4<f32>(x.x), y[0], tile[i]);
                tile[i] = fma(vec4<f32>(x.y), y[1], tile[i]);
                tile[i] = fma(vec4<f32>(x.z), y[2], tile[i]);
                tile[i] = fma(vec4<f32>(x.w), y[3], tile[i]);
            }
        }
    }
    return tile;
}

// Adds the weighted sums of other rows, for the thread's own rows and its quad of elements. Weights lie as `products` gives
// them.
fn add_weighted(
    sum: ptr<function, Tile>,
    weights: ptr<function, Tile>,
    other: Lines,
    other_first: u32,
    thread: Thread,
) {
    for (var first = 0u; first < COLUMNS; first += DEPTH) {
        var other_quads: array<vec4<f32>, OTHER_LOADS>;
        for (var i = 0u; i < OTHER_LOADS; i++) {
            let row = thread.line + i * LINES;
            other_quads[i] = load(other, other_first + 4u * first + row, thread.column);
        }
        workgroupBarrier();
        for (var i = 0u; i < OTHER_LOADS; i++) {
            stage[OTHER + thread.number + i * THREADS] = other_quads[i];
        }
        if thread.column >= first && thread.column - first < DEPTH {
            let at = thread.line * (ROWS * DEPTH) + thread.column - first;
            for (var i = 0u; i < ROWS; i++) {
                stage[at + i * DEPTH] = (*weights)[i];
            }
        }
        workgroupBarrier();
        for (var quad = 0u; quad < min(DEPTH, COLUMNS - first); quad++) {
            let at_weights = thread.line * (ROWS * DEPTH) + quad;
            let at = OTHER + 4u * quad * COLUMNS + thread.column;
            let y0 = stage[at];
            let y1 = stage[at + COLUMNS];
            let y2 = stage[at + 2u * COLUMNS];
            let y3 = stage[at + 3u * COLUMNS];
            for (var i = 0u; i < ROWS; i++) {
                let x = stage[at_weights + i * DEPTH];
                (*sum)[i] = fma(vec4<f32>(x.x), y0, (*sum)[i]);
                (*sum)[i] = fma(vec4<f32>(x.y), y1, (*sum)[i]);
                (*sum)[i] = fma(vec4<f32>(x.z), y2, (*sum)[i]);
                (*sum)[i] = fma(vec4<f32>(x.w), y3, (*sum)[i]);
            }
        }
    }
}

// Writes each thread's numbers, one per row, to `stage`, where the reductions over a line read them.
fn share(column: Column, thread: Thread) {
    var numbers = column;
    workgroupBarrier();
    let at = (thread.column * BLOCK + thread.line * ROWS) / 4u;
    for (var i = 0u; i < ROWS; i += 4u) {
        stage[at + i / 4u] = vec4<f32>(numbers[i], numbers[i + 1u], numbers[i + 2u], numbers[i + 3u]);
    }
    workgroupBarrier();
}

// Reads the results of a reduction over the thread's line.
fn shared_column(thread: Thread) -> Column {
    workgroupBarrier();
    var column: Column;
    for (var i = 0u; i < ROWS; i += 4u) {
        let numbers = stage[OTHER + (thread.line * ROWS + i) / 4u];
        column[i] = numbers.x;
        column[i + 1u] = numbers.y;
        column[i + 2u] = numbers.z;
        column[i + 3u] = numbers.w;
    }
    return column;
}

// The largest number of each row among the threads of a line.
fn max_across(column: Column, thread: Thread) -> Column {
    share(column, thread);
    if thread.number < BLOCK / 4u {
        var most = stage[thread.number];
        for (var i = 1u; i < COLUMNS; i++) {
            most = max(most, stage[i * (BLOCK / 4u) + thread.number]);
        }
        stage[OTHER + thread.number] = most;
    }
    return shared_column(thread);
}

// The sum of each row's numbers over the threads of a line, in a fixed order.
fn sum_across(column: Column, thread: Thread) -> Column {
    share(column, thread);
    if thread.number < BLOCK / 4u {
        var sum = stage[thread.number];
        for (var i = 1u; i < COLUMNS; i++) {
            sum += stage[i * (BLOCK / 4u) + thread.number];
        }
        stage[OTHER + thread.number] = sum;
    }
    return shared_column(thread);
}

// Whether every own row attends to all OTHERS rows from `other_first` on. The last own row decides where ranges start and the
// first where they end, since the range of a later row neither starts nor ends earlier.
fn attends_wholly(block: Block, other_first: u32) -> bool {
    return other_first >= range_of(block, block.first + BLOCK - 1u).x
        && other_first + OTHERS <= range_of(block, block.first).y;
}

// Which rows of a quad of other rows an own row attends to.
fn attends(block: Block, row: u32, other: u32) -> vec4<bool> {
    let range = range_of(block, row);
    let others = vec4<u32>(other) + vec4<u32>(0u, 1u, 2u, 3u);
    return (others >= vec4<u32>(range.x)) & (others < vec4<u32>(range.y));
}

// A bit for each of a quad of keys, set where dropout keeps the weight.
fn kept_bits(query: u32, key: u32) -> u32 {
    let bits = select(vec4<u32>(), vec4<u32>(1u, 2u, 4u, 8u), masks_of_query(query, key / 4u) > vec4<f32>());
    return bits.x | bits.y | bits.z | bits.w;
}

// Dropout's factors, from the bits at these places.
fn kept_at(bits: u32, places: vec4<u32>) -> vec4<f32> {
    let bit = ((vec4<u32>(bits) >> places) & vec4<u32>(1u)) != vec4<u32>();
    return select(vec4<f32>(), vec4<f32>(dropout_scale(params.dropout)), bit);
}
