// Attention on cooperative matrices, f16 into f32, of the SIDE of matrices_16.wgsl or matrices_8.wgsl: a workgroup of 128
// threads has BLOCK rows of a head and goes through the others OTHERS at a time. Both lie in workgroup memory as f16, with
// zeros past the sequence; so do the weights between the two products. Subgroups share the matrices of a product among them
// and leave their sums in workgroup memory, where a thread takes its part: quads of a row's columns, SPREAD quads apart. The
// shader behind this file gives
//   quad_at(gradient, place)     four elements of qkv, or of dy
const THREADS: u32 = 128u;
// Half as many where rows are long, so that all stays within 16 KiB.
const BLOCK: u32 = 32u - 16u * u32(HEAD_DIM > 64u);
const OTHERS: u32 = 32u;
// A row's threads, and the quads that each has of 32 columns.
const SPREAD: u32 = THREADS / BLOCK;
const QUADS: u32 = 8u / SPREAD;
// Elements of a head are weighted 32 at a time.
const CHUNKS: u32 = (HEAD_DIM + 31u) / 32u;
// Rows of matrices begin 16 bytes further than they need to, so that they meet in fewer banks.
const STRIDE: u32 = HEAD_DIM + 8u * u32(HEAD_DIM <= 64u);
const SUM_STRIDE: u32 = OTHERS + 4u;

var<workgroup> rows: array<f16, (BLOCK + OTHERS) * STRIDE>; // own rows, then others
var<workgroup> weights: array<f16, BLOCK * OTHERS>; // [own row, other row]
var<workgroup> sums: array<f32, BLOCK * SUM_STRIDE>; // [own row, other row or element]
var<workgroup> across: array<f32, THREADS>;

// Of 32 columns of a row, the quads of a thread.
alias Part = array<vec4<f32>, QUADS>;

struct Thread {
    number: u32,
    row: u32, // of the block
    quad: u32, // its first of every 32 columns
    subgroup: u32,
    subgroups: u32,
}

fn thread_of(number: u32, subgroup: u32, subgroups: u32) -> Thread {
    return Thread(number, number / SPREAD, number % SPREAD, subgroup, subgroups);
}

fn load_own(thread: Thread, lines: Lines, first: u32) {
    load(thread, lines, first, 0u, BLOCK);
}

fn load_others(thread: Thread, lines: Lines, first: u32) {
    load(thread, lines, first, BLOCK, OTHERS);
}

fn load(thread: Thread, lines: Lines, first: u32, place: u32, count: u32) {
    for (var n = thread.number; n < count * HEAD_QUADS; n += THREADS) {
        let row = n / HEAD_QUADS;
        let quad = n % HEAD_QUADS;
        var value = vec4<f16>();
        if first + row < params.sequence {
            value = quad_at(lines.gradient, lines.start + (first + row) * lines.stride + quad);
        }
        let at = (place + row) * STRIDE + 4u * quad;
        rows[at] = value.x;
        rows[at + 1u] = value.y;
        rows[at + 2u] = value.z;
        rows[at + 3u] = value.w;
    }
}

// own·othersᵀ of the rows that were loaded.
fn products(thread: Thread) -> Part {
    workgroupBarrier();
    for (var n = thread.subgroup; n < BLOCK / SIDE * (OTHERS / SIDE); n += thread.subgroups) {
        let own = n / (OTHERS / SIDE) * SIDE;
        let other = n % (OTHERS / SIDE) * SIDE;
        var sum = Sums();
        for (var i = 0u; i < HEAD_DIM; i += SIDE) {
            let at_own = own * STRIDE + i;
            let at_other = (BLOCK + other) * STRIDE + i;
            sum = coopMultiplyAdd(coopLoadT<Left>(&rows[at_own], STRIDE), coopLoad<Right>(&rows[at_other], STRIDE), sum);
        }
        let at = own * SUM_STRIDE + other;
        coopStoreT(sum, &sums[at], SUM_STRIDE);
    }
    workgroupBarrier();
    return part_of_sums(thread);
}

// weights·others of a chunk of elements; those past the head mean nothing.
fn weighted(thread: Thread, chunk: u32) -> Part {
    workgroupBarrier();
    let across_chunk = min(32u, HEAD_DIM - 32u * chunk) / SIDE;
    for (var n = thread.subgroup; n < BLOCK / SIDE * across_chunk; n += thread.subgroups) {
        let own = n / across_chunk * SIDE;
        let element = n % across_chunk * SIDE;
        var sum = Sums();
        for (var i = 0u; i < OTHERS; i += SIDE) {
            let at_weight = own * OTHERS + i;
            let at_other = (BLOCK + i) * STRIDE + 32u * chunk + element;
            sum = coopMultiplyAdd(coopLoadT<Left>(&weights[at_weight], OTHERS), coopLoadT<Right>(&rows[at_other], STRIDE), sum);
        }
        let at = own * SUM_STRIDE + element;
        coopStoreT(sum, &sums[at], SUM_STRIDE);
    }
    workgroupBarrier();
    return part_of_sums(thread);
}

fn part_of_sums(thread: Thread) -> Part {
    var part: Part;
    for (var i = 0u; i < QUADS; i++) {
        let at = thread.row * SUM_STRIDE + 4u * (thread.quad + SPREAD * i);
        part[i] = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
    }
    return part;
}

// Hands a quad of weights of a row to the workgroup.
fn keep_weights(thread: Thread, i: u32, value: vec4<f32>) {
    let at = thread.row * OTHERS + 4u * (thread.quad + SPREAD * i);
    weights[at] = f16(value.x);
    weights[at + 1u] = f16(value.y);
    weights[at + 2u] = f16(value.z);
    weights[at + 3u] = f16(value.w);
}

fn max_across(thread: Thread, value: f32) -> f32 {
    across[thread.number] = value;
    workgroupBarrier();
    var most = value;
    for (var i = 0u; i < SPREAD; i++) {
        most = max(most, across[thread.row * SPREAD + i]);
    }
    return most;
}

// In a fixed order.
fn sum_across(thread: Thread, value: f32) -> f32 {
    workgroupBarrier();
    across[thread.number] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < SPREAD; i++) {
        sum += across[thread.row * SPREAD + i];
    }
    return sum;
}

// Which of four others a row attends to.
fn attends(range: vec2<u32>, other: u32) -> vec4<bool> {
    let others = vec4<u32>(other) + vec4<u32>(0u, 1u, 2u, 3u);
    return (others >= vec4<u32>(range.x)) & (others < vec4<u32>(range.y));
}
