// Attention in tiles (Dao et al., FlashAttention, 2022): a workgroup of 8×8 threads has a block of 32 rows of a head and
// goes through the blocks of other rows that any of them attends to, a product of [32, head_dim] by [head_dim, 32] at a
// time. A thread has a quad of its own rows by a quad of the others. The shader behind this file gives
//   quad_at(gradient, place)     four elements of qkv, or of dy
const BLOCK: u32 = 32u;
// Elements of a head are gone through 32 at a time.
const CHUNKS: u32 = (HEAD_QUADS + 7u) / 8u;

var<workgroup> left: array<vec4<f32>, 256>; // [element, quad of own rows]
var<workgroup> right: array<vec4<f32>, 256>; // [element, quad of other rows], or [other row, quad of elements]
var<workgroup> weights: array<vec4<f32>, 256>; // [other row, quad of own rows]
var<workgroup> across: array<vec4<f32>, 64>;

// A vector for each of four rows.
struct Four {
    v0: vec4<f32>,
    v1: vec4<f32>,
    v2: vec4<f32>,
    v3: vec4<f32>,
}

// What four rows attend to.
struct Ranges {
    starts: vec4<u32>,
    ends: vec4<u32>,
}

fn ranges_of(block: Block, row: u32) -> Ranges {
    let range0 = range_of(block, row);
    let range1 = range_of(block, row + 1u);
    let range2 = range_of(block, row + 2u);
    let range3 = range_of(block, row + 3u);
    return Ranges(
        vec4<u32>(range0.x, range1.x, range2.x, range3.x),
        vec4<u32>(range0.y, range1.y, range2.y, range3.y),
    );
}

// Where the weights of an own quad for another row lie, so that neighbours write to different banks.
fn weight_place(other: u32, quad: u32) -> u32 {
    return other * 8u + (quad ^ (other / 4u));
}

fn load(lines: Lines, row: u32, quad: u32) -> vec4<f32> {
    let at = lines.start + min(row, params.sequence - 1u) * lines.stride + min(quad, HEAD_QUADS - 1u);
    return select(vec4<f32>(), quad_at(lines.gradient, at), quad < HEAD_QUADS);
}

// Four rows' quad of elements, transposed.
fn load_transposed(lines: Lines, row: u32, quad: u32) -> Four {
    let a = load(lines, row, quad);
    let b = load(lines, row + 1u, quad);
    let c = load(lines, row + 2u, quad);
    let d = load(lines, row + 3u, quad);
    return Four(
        vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y),
        vec4<f32>(a.z, b.z, c.z, d.z), vec4<f32>(a.w, b.w, c.w, d.w),
    );
}

// The products of the own rows with a block of others: vector j has the thread's own rows by other j of its quad.
fn products(own: Lines, own_first: u32, other: Lines, other_first: u32, thread: u32) -> Four {
    let line = thread % 8u;
    let quad = thread / 8u;
    var sum = Four();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        let a = load_transposed(own, own_first + 4u * line, chunk * 8u + quad);
        let b = load_transposed(other, other_first + 4u * line, chunk * 8u + quad);
        workgroupBarrier();
        left[quad * 32u + line] = a.v0;
        left[quad * 32u + 8u + line] = a.v1;
        left[quad * 32u + 16u + line] = a.v2;
        left[quad * 32u + 24u + line] = a.v3;
        right[quad * 32u + line] = b.v0;
        right[quad * 32u + 8u + line] = b.v1;
        right[quad * 32u + 16u + line] = b.v2;
        right[quad * 32u + 24u + line] = b.v3;
        workgroupBarrier();
        for (var i = 0u; i < min(32u, HEAD_DIM - 32u * chunk); i++) {
            let x = left[i * 8u + quad];
            let y = right[i * 8u + line];
            sum.v0 = fma(x, vec4<f32>(y.x), sum.v0);
            sum.v1 = fma(x, vec4<f32>(y.y), sum.v1);
            sum.v2 = fma(x, vec4<f32>(y.z), sum.v2);
            sum.v3 = fma(x, vec4<f32>(y.w), sum.v3);
        }
    }
    return sum;
}

// Hands weights of the own rows, laid out as `products` gives them, to the workgroup.
fn keep_weights(w: Four, thread: u32) {
    let other = 4u * (thread % 8u);
    workgroupBarrier();
    weights[weight_place(other, thread / 8u)] = w.v0;
    weights[weight_place(other + 1u, thread / 8u)] = w.v1;
    weights[weight_place(other + 2u, thread / 8u)] = w.v2;
    weights[weight_place(other + 3u, thread / 8u)] = w.v3;
}

// before + weights·others for a chunk of elements: vector r has row r of the own quad, by the thread's quad of elements.
fn weighted(before: Four, other: Lines, other_first: u32, chunk: u32, thread: u32) -> Four {
    let quad = chunk * 8u + thread % 8u;
    let row = other_first + thread / 8u;
    workgroupBarrier();
    right[thread] = load(other, row, quad);
    right[thread + 64u] = load(other, row + 8u, quad);
    right[thread + 128u] = load(other, row + 16u, quad);
    right[thread + 192u] = load(other, row + 24u, quad);
    workgroupBarrier();
    var sum = before;
    for (var i = 0u; i < BLOCK; i++) {
        let w = weights[weight_place(i, thread / 8u)];
        let y = right[i * 8u + thread % 8u];
        sum.v0 = fma(vec4<f32>(w.x), y, sum.v0);
        sum.v1 = fma(vec4<f32>(w.y), y, sum.v1);
        sum.v2 = fma(vec4<f32>(w.z), y, sum.v2);
        sum.v3 = fma(vec4<f32>(w.w), y, sum.v3);
    }
    return sum;
}

// The sum over the eight threads of a quad of rows, in a fixed order.
fn sum_across(value: vec4<f32>, thread: u32) -> vec4<f32> {
    workgroupBarrier();
    across[thread] = value;
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var i = 0u; i < 8u; i++) {
        sum += across[thread / 8u * 8u + i];
    }
    return sum;
}

// Which of the own rows attend to another.
fn attends(ranges: Ranges, other: u32) -> vec4<bool> {
    return (vec4<u32>(other) >= ranges.starts) & (vec4<u32>(other) < ranges.ends);
}

// The same for own queries, laid out as `products` gives them.
fn kept_transposed(query: u32, key: u32) -> Four {
    let a = kept(query, key);
    let b = kept(query + 1u, key);
    let c = kept(query + 2u, key);
    let d = kept(query + 3u, key);
    return Four(
        vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y),
        vec4<f32>(a.z, b.z, c.z, d.z), vec4<f32>(a.w, b.w, c.w, d.w),
    );
}

fn by_vector(a: Four, b: Four) -> Four {
    return Four(a.v0 * b.v0, a.v1 * b.v1, a.v2 * b.v2, a.v3 * b.v3);
}

fn by_row(a: Four, b: vec4<f32>) -> Four {
    return Four(a.v0 * b.x, a.v1 * b.y, a.v2 * b.z, a.v3 * b.w);
}

