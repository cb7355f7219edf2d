// Attention on cooperative matrices, f16 into f32, of the SIDE of matrices_16.wgsl or matrices_8.wgsl: a workgroup of 128
// threads has BLOCK rows of a head and goes through the others, 32 at a time. Rows lie in workgroup memory as f16, with zeros
// past the sequence; so do the weights, between two products. Subgroups share the matrices of a product among them and leave
// their sums in workgroup memory, from where each thread takes a part. The shader behind this file gives
//   quad_at(gradient, place)     four elements of qkv, or of dy
const THREADS: u32 = 128u;
// Half as many where rows are long, so that all stays within 16 KiB.
const BLOCK: u32 = 32u - 16u * u32(HEAD_DIM > 64u);
const OTHERS: u32 = 32u;
// Elements of a head are weighted 32 at a time.
const CHUNKS: u32 = (HEAD_DIM + 31u) / 32u;
// Neighbouring rows begin in different banks where there is room for it.
const STRIDE: u32 = HEAD_DIM + 8u * u32(HEAD_DIM <= 64u);
const GAP: u32 = 4u;

var<workgroup> rows: array<f16, (BLOCK + OTHERS) * STRIDE>;
var<workgroup> weights: array<f16, BLOCK * OTHERS>; // [own row, other row]
var<workgroup> sums: array<f32, OTHERS * (BLOCK + GAP)>;
var<workgroup> across: array<f32, THREADS>;

// Where own rows lie in `rows`, and others.
struct Rows {
    first: u32,
    count: u32,
}

const OWN: Rows = Rows(0u, BLOCK);
const OTHER: Rows = Rows(BLOCK, OTHERS);

struct Thread {
    number: u32,
    subgroup: u32,
    subgroups: u32,
}

// What a thread has of a matrix of BLOCK by 32 elements, or 32 by BLOCK: quads of a row, `spread` apart.
struct Place {
    row: u32,
    quad: u32,
    spread: u32,
}

const QUADS: u32 = BLOCK / 16u;
alias Part = array<vec4<f32>, QUADS>;
// Of a row of the block, as long as a head: a part a chunk.
alias Output = array<Part, CHUNKS>;

// In a matrix of `count` rows.
fn place_of(thread: Thread, count: u32) -> Place {
    let spread = THREADS / count;
    return Place(thread.number / spread, thread.number % spread, spread);
}

fn quad_of(place: Place, i: u32) -> u32 {
    return place.quad + place.spread * i;
}

fn load(thread: Thread, into: Rows, lines: Lines, first: u32) {
    for (var n = thread.number; n < into.count * HEAD_QUADS; n += THREADS) {
        let row = n / HEAD_QUADS;
        let quad = n % HEAD_QUADS;
        var value = vec4<f16>();
        if first + row < params.sequence {
            value = quad_at(lines.gradient, lines.start + (first + row) * lines.stride + quad);
        }
        let at = (into.first + row) * STRIDE + 4u * quad;
        rows[at] = value.x;
        rows[at + 1u] = value.y;
        rows[at + 2u] = value.z;
        rows[at + 3u] = value.w;
    }
}

// left·rightᵀ of rows that were loaded.
fn products(thread: Thread, left: Rows, right: Rows) -> Part {
    workgroupBarrier();
    let stride = right.count + GAP;
    let matrices = right.count / SIDE;
    for (var n = thread.subgroup; n < left.count / SIDE * matrices; n += thread.subgroups) {
        let row = n / matrices * SIDE;
        let column = n % matrices * SIDE;
        var sum = Sums();
        for (var i = 0u; i < HEAD_DIM; i += SIDE) {
            let at_left = (left.first + row) * STRIDE + i;
            let at_right = (right.first + column) * STRIDE + i;
            let a = coopLoadT<Left>(&rows[at_left], STRIDE);
            let b = coopLoad<Right>(&rows[at_right], STRIDE);
            sum = coopMultiplyAdd(a, b, sum);
        }
        let at = row * stride + column;
        coopStoreT(sum, &sums[at], stride);
    }
    workgroupBarrier();
    return part_of_sums(place_of(thread, left.count), stride);
}

// output · keep + weights·others. What output has past the head means nothing.
fn add_weighted(thread: Thread, keep: f32, output: ptr<function, Output>) {
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        let part = weighted(thread, chunk);
        for (var i = 0u; i < QUADS; i++) {
            (*output)[chunk][i] = (*output)[chunk][i] * keep + part[i];
        }
    }
}

fn weighted(thread: Thread, chunk: u32) -> Part {
    workgroupBarrier();
    let stride = OTHERS + GAP;
    let matrices = min(32u, HEAD_DIM - 32u * chunk) / SIDE;
    for (var n = thread.subgroup; n < BLOCK / SIDE * matrices; n += thread.subgroups) {
        let row = n / matrices * SIDE;
        let column = n % matrices * SIDE;
        var sum = Sums();
        for (var i = 0u; i < OTHERS; i += SIDE) {
            let at_weight = row * OTHERS + i;
            let at_other = (BLOCK + i) * STRIDE + 32u * chunk + column;
            let a = coopLoadT<Left>(&weights[at_weight], OTHERS);
            let b = coopLoadT<Right>(&rows[at_other], STRIDE);
            sum = coopMultiplyAdd(a, b, sum);
        }
        let at = row * stride + column;
        coopStoreT(sum, &sums[at], stride);
    }
    workgroupBarrier();
    return part_of_sums(place_of(thread, BLOCK), stride);
}

fn part_of_sums(place: Place, stride: u32) -> Part {
    var part: Part;
    for (var i = 0u; i < QUADS; i++) {
        let at = place.row * stride + 4u * quad_of(place, i);
        part[i] = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
    }
    return part;
}

// Hands the weights of an own row for a quad of others to the workgroup.
fn keep_weights(own: u32, quad: u32, value: vec4<f32>) {
    let at = own * OTHERS + 4u * quad;
    weights[at] = f16(value.x);
    weights[at + 1u] = f16(value.y);
    weights[at + 2u] = f16(value.z);
    weights[at + 3u] = f16(value.w);
}

fn max_across(thread: Thread, place: Place, value: f32) -> f32 {
    across[thread.number] = value;
    workgroupBarrier();
    var most = value;
    for (var i = 0u; i < place.spread; i++) {
        most = max(most, across[place.row * place.spread + i]);
    }
    return most;
}

// In a fixed order.
fn sum_across(thread: Thread, place: Place, value: f32) -> f32 {
    across[thread.number] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < place.spread; i++) {
        sum += across[place.row * place.spread + i];
    }
    return sum;
}

// Which of four keys a query attends to.
fn attends(range: vec2<u32>, key: u32) -> vec4<bool> {
    let keys = vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u);
    return (keys >= vec4<u32>(range.x)) & (keys < vec4<u32>(range.y));
}
