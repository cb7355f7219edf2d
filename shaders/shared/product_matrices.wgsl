// A TILE×TILE part of the product on cooperative matrices, with sums in f32. Both operands go through workgroup memory, DEPTH
// terms at a time, while the next terms are on their way to registers: each thread loads four quads of each operand. A subgroup
// owns a region of 4×4 matrices if WIDE, else of 4×2. Sums go through workgroup memory to `store_octet`, two matrices at a
// time. The kernel gives
//   size()                               rows, columns and depth of the product
//   octets_of_a(row), octets_of_b(column)
//                                        where the octets of a line along depth begin; the depth is then a multiple of eight
//   octet_a(at), octet_b(at)             one octet
//   rows_at(row, depth), columns_at(depth, column)
//                                        four rows or columns at one depth; their number is a multiple of four. They are used
//                                        instead of octets if an operand does not lie along depth (A_BY_DEPTH, B_BY_DEPTH)
//   store_octet(row, column, low, high)  takes eight sums of a row; the last four may lie past its end
//   HAS_SUMS, store_sums(row, vec4)      whether a is also summed over depth (A_BY_DEPTH is false then); takes four such sums
const THREADS: u32 = TILE * DEPTH / 16u;
// Cells from one line of terms to the next; the padding puts lines that are read at once in different banks.
const STEP: u32 = (DEPTH + PADDING) / CELL;
const DEPTH_QUADS: u32 = DEPTH / 4u;
const DEPTH_OCTETS: u32 = DEPTH / 8u;
// Lines between the two octets of a thread.
const OCTET_STEP: u32 = THREADS / DEPTH_OCTETS;
const REGION_ROWS: u32 = 4u * SIDE;
const REGION_COLUMNS: u32 = select(2u, 4u, WIDE) * SIDE;
const REGIONS_ACROSS: u32 = TILE / REGION_COLUMNS;
const REGIONS: u32 = TILE / REGION_ROWS * REGIONS_ACROSS;
const PATCH_COLUMNS: u32 = 2u * SIDE;
const PATCH: u32 = SIDE * PATCH_COLUMNS;
const PATCH_OCTETS: u32 = PATCH_COLUMNS / 8u;
// Patches per region, which are numbered down columns of four.
const PARTS: u32 = 2u * REGION_COLUMNS / SIDE;

var<workgroup> tile: array<Cell, 2u * TILE * STEP>; // [a: TILE rows, b: TILE columns; DEPTH]
var<workgroup> patches: array<f32, REGIONS * PATCH>; // [REGIONS, SIDE, PATCH_COLUMNS]

// Eight elements along depth.
struct Octet {
    low: vec4<Real>,
    high: vec4<Real>,
}

// What a thread has fetched of an operand: the quads of two octets, or four lines at each of four depths.
struct Quads {
    q0: vec4<Real>,
    q1: vec4<Real>,
    q2: vec4<Real>,
    q3: vec4<Real>,
}

// The line and the depth of a thread's first octet. Neighbouring threads load neighbouring octets.
fn octet_of(thread: u32) -> vec2<u32> {
    return vec2<u32>(thread / DEPTH_OCTETS, 8u * (thread % DEPTH_OCTETS));
}

// The first line and the first depth of a thread's four quads across lines. Eight neighbouring threads load 64 bytes of a
// depth.
fn block_of(thread: u32) -> vec2<u32> {
    return 4u * vec2<u32>(thread % 8u + thread / (8u * DEPTH_QUADS) * 8u, (thread / 8u) % DEPTH_QUADS);
}

// Where a thread loads a tile from: the first octets of its two lines, or its first line. Past an edge it loads the last lines
// again, and the results are not stored.
fn source_a(thread: u32, start: u32) -> vec2<u32> {
    if A_BY_DEPTH {
        let line = start + octet_of(thread).x;
        let last = size().x - 1u;
        return vec2<u32>(octets_of_a(min(line, last)), octets_of_a(min(line + OCTET_STEP, last)));
    }
    return vec2<u32>(min(start + block_of(thread).x, size().x - 4u));
}

fn source_b(thread: u32, start: u32) -> vec2<u32> {
    if B_BY_DEPTH {
        let line = start + octet_of(thread).x;
        let last = size().y - 1u;
        return vec2<u32>(octets_of_b(min(line, last)), octets_of_b(min(line + OCTET_STEP, last)));
    }
    return vec2<u32>(min(start + block_of(thread).x, size().y - 4u));
}

// No load is conditional: past the depth, the last terms are loaded again.
fn fetch_a(thread: u32, source: vec2<u32>, depth: u32) -> Quads {
    if A_BY_DEPTH {
        let at = source + min(depth + octet_of(thread).y, size().z - 8u) / 8u;
        let first = octet_a(at.x);
        let second = octet_a(at.y);
        return Quads(first.low, first.high, second.low, second.high);
    }
    let at = depth + block_of(thread).y;
    let last = size().z - 1u;
    return Quads(
        rows_at(source.x, min(at, last)), rows_at(source.x, min(at + 1u, last)),
        rows_at(source.x, min(at + 2u, last)), rows_at(source.x, min(at + 3u, last)),
    );
}

fn fetch_b(thread: u32, source: vec2<u32>, depth: u32) -> Quads {
    if B_BY_DEPTH {
        let at = source + min(depth + octet_of(thread).y, size().z - 8u) / 8u;
        let first = octet_b(at.x);
        let second = octet_b(at.y);
        return Quads(first.low, first.high, second.low, second.high);
    }
    let at = depth + block_of(thread).y;
    let last = size().z - 1u;
    return Quads(
        columns_at(min(at, last), source.x), columns_at(min(at + 1u, last), source.x),
        columns_at(min(at + 2u, last), source.x), columns_at(min(at + 3u, last), source.x),
    );
}

// What was fetched of a, with zeros from the term `left` on, so that the terms of b there count for nothing.
fn cut(thread: u32, quads: Quads, left: u32) -> Quads {
    let none = vec4<Real>();
    if A_BY_DEPTH {
        let some = octet_of(thread).y < left;
        return Quads(
            select(none, quads.q0, some), select(none, quads.q1, some),
            select(none, quads.q2, some), select(none, quads.q3, some),
        );
    }
    let at = block_of(thread).y;
    return Quads(
        select(none, quads.q0, at < left), select(none, quads.q1, at + 1u < left),
        select(none, quads.q2, at + 2u < left), select(none, quads.q3, at + 3u < left),
    );
}

// Writes what was fetched to the lines of workgroup memory from `first` on.
fn keep(thread: u32, first: u32, by_depth: bool, quads: Quads) {
    if by_depth {
        let octet = octet_of(thread);
        let at = (first + octet.x) * STEP + octet.y / CELL;
        put(at, quads.q0);
        put(at + 4u / CELL, quads.q1);
        put(at + OCTET_STEP * STEP, quads.q2);
        put(at + OCTET_STEP * STEP + 4u / CELL, quads.q3);
    } else {
        let block = block_of(thread);
        let at = (first + block.x) * STEP + block.y / CELL;
        put(at, vec4<Real>(quads.q0.x, quads.q1.x, quads.q2.x, quads.q3.x));
        put(at + STEP, vec4<Real>(quads.q0.y, quads.q1.y, quads.q2.y, quads.q3.y));
        put(at + 2u * STEP, vec4<Real>(quads.q0.z, quads.q1.z, quads.q2.z, quads.q3.z));
        put(at + 3u * STEP, vec4<Real>(quads.q0.w, quads.q1.w, quads.q2.w, quads.q3.w));
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let corner = TILE * group.yx;
    // If there are more subgroups than regions, some compute a region again and do not store it.
    let region = subgroup % REGIONS;
    let at_a = region / REGIONS_ACROSS * REGION_ROWS * STEP;
    let at_b = (TILE + region % REGIONS_ACROSS * REGION_COLUMNS) * STEP;
    var s00 = Sums();
    var s01 = Sums();
    var s02 = Sums();
    var s03 = Sums();
    var s10 = Sums();
    var s11 = Sums();
    var s12 = Sums();
    var s13 = Sums();
    var s20 = Sums();
    var s21 = Sums();
    var s22 = Sums();
    var s23 = Sums();
    var s30 = Sums();
    var s31 = Sums();
    var s32 = Sums();
    var s33 = Sums();
    let from_a = source_a(thread, corner.x);
    let from_b = source_b(thread, corner.y);
    var next_a = fetch_a(thread, from_a, 0u);
    var next_b = fetch_b(thread, from_b, 0u);
    // Only the first tile of a row of tiles adds up what it loads of a.
    let adds_up = HAS_SUMS && corner.y == 0u;
    var total = vec4<f32>();
    for (var depth = 0u; depth < size().z; depth += DEPTH) {
        if size().z - depth < DEPTH {
            next_a = cut(thread, next_a, size().z - depth);
        }
        if adds_up {
            total += (vec4<f32>(next_a.q0) + vec4<f32>(next_a.q1)) + (vec4<f32>(next_a.q2) + vec4<f32>(next_a.q3));
        }
        keep(thread, 0u, A_BY_DEPTH, next_a);
        keep(thread, TILE, B_BY_DEPTH, next_b);
        workgroupBarrier();
        next_a = fetch_a(thread, from_a, depth + DEPTH);
        next_b = fetch_b(thread, from_b, depth + DEPTH);
        for (var i = 0u; i < DEPTH / CELL; i += SIDE / CELL) {
            let a0 = coopLoadT<Left>(&tile[at_a + i], STEP);
            let a1 = coopLoadT<Left>(&tile[at_a + i + SIDE * STEP], STEP);
            let a2 = coopLoadT<Left>(&tile[at_a + i + 2u * SIDE * STEP], STEP);
            let a3 = coopLoadT<Left>(&tile[at_a + i + 3u * SIDE * STEP], STEP);
            let b0 = coopLoad<Right>(&tile[at_b + i], STEP);
            s00 = coopMultiplyAdd(a0, b0, s00);
            s10 = coopMultiplyAdd(a1, b0, s10);
            s20 = coopMultiplyAdd(a2, b0, s20);
            s30 = coopMultiplyAdd(a3, b0, s30);
            let b1 = coopLoad<Right>(&tile[at_b + i + SIDE * STEP], STEP);
            s01 = coopMultiplyAdd(a0, b1, s01);
            s11 = coopMultiplyAdd(a1, b1, s11);
            s21 = coopMultiplyAdd(a2, b1, s21);
            s31 = coopMultiplyAdd(a3, b1, s31);
            if WIDE {
                let b2 = coopLoad<Right>(&tile[at_b + i + 2u * SIDE * STEP], STEP);
                s02 = coopMultiplyAdd(a0, b2, s02);
                s12 = coopMultiplyAdd(a1, b2, s12);
                s22 = coopMultiplyAdd(a2, b2, s22);
                s32 = coopMultiplyAdd(a3, b2, s32);
                let b3 = coopLoad<Right>(&tile[at_b + i + 3u * SIDE * STEP], STEP);
                s03 = coopMultiplyAdd(a0, b3, s03);
                s13 = coopMultiplyAdd(a1, b3, s13);
                s23 = coopMultiplyAdd(a2, b3, s23);
                s33 = coopMultiplyAdd(a3, b3, s33);
            }
        }
        workgroupBarrier();
    }
    if adds_up {
        hand_over_sums(corner.x, thread, total);
    }
    let patch_start = PATCH * region;
    for (var part = 0u; part < PARTS; part++) {
        // Only owners store. This is a loop of one round or none, since naga takes an `if` on a subgroup for divergent.
        for (var own = subgroup; own < REGIONS; own += REGIONS) {
            switch part {
                case 0u: {
                    coopStoreT(s00, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s01, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                case 1u: {
                    coopStoreT(s10, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s11, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                case 2u: {
                    coopStoreT(s20, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s21, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                case 3u: {
                    coopStoreT(s30, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s31, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                case 4u: {
                    coopStoreT(s02, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s03, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                case 5u: {
                    coopStoreT(s12, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s13, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                case 6u: {
                    coopStoreT(s22, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s23, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
                default: {
                    coopStoreT(s32, &patches[patch_start], PATCH_COLUMNS);
                    coopStoreT(s33, &patches[patch_start + SIDE], PATCH_COLUMNS);
                }
            }
        }
        workgroupBarrier();
        hand_over(corner + SIDE * vec2<u32>(part % 4u, part / 4u * 2u), thread);
        workgroupBarrier();
    }
}

// Adds up the sums of threads that share a quad of rows, in the memory of the patches. Each has four of every DEPTH terms.
fn hand_over_sums(start: u32, thread: u32, total: vec4<f32>) {
    let block = block_of(thread);
    let place = block.y / 4u * TILE + block.x;
    patches[place] = total.x;
    patches[place + 1u] = total.y;
    patches[place + 2u] = total.z;
    patches[place + 3u] = total.w;
    workgroupBarrier();
    let row = 4u * thread;
    if row < TILE && start + row < size().x {
        var sum = vec4<f32>();
        for (var part = 0u; part < DEPTH_QUADS; part++) {
            let at = part * TILE + row;
            sum += vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]);
        }
        store_sums(start + row, sum);
    }
    workgroupBarrier();
}

// Hands the sums of one patch per region to the kernel, eight columns per thread. `corner` is where the first region's patch
// lies.
fn hand_over(corner: vec2<u32>, thread: u32) {
    for (var first = 0u; first < REGIONS * PATCH / 8u; first += THREADS) {
        let octet = first + thread;
        let region = octet / (PATCH / 8u);
        let row = corner.x + region / REGIONS_ACROSS * REGION_ROWS + octet / PATCH_OCTETS % SIDE;
        let column = corner.y + region % REGIONS_ACROSS * REGION_COLUMNS + octet % PATCH_OCTETS * 8u;
        if octet < REGIONS * PATCH / 8u && row < size().x && column < size().y {
            let at = 8u * octet;
            let low = vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]);
            let high = vec4<f32>(patches[at + 4u], patches[at + 5u], patches[at + 6u], patches[at + 7u]);
            store_octet(row, column, low, high);
        }
    }
}
