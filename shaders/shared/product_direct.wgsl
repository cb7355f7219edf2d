// The product without workgroup memory or barriers, for adapters that run on a CPU (llvmpipe). There a load costs a loop over
// the threads, a quad costs hardly more than an element, and arithmetic costs next to nothing. A thread holds 8×8 of the result
// in 4×4 matrices, each column of which is a quad of a row. It needs the same functions as product_fetch.wgsl.
const SIDE: u32 = 8u;

// Four rows of a by four depths; each column is a depth. Past the edge, rows repeat the last row and depths are zero.
fn part_a(row: u32, depth: u32) -> mat4x4<f32> {
    let last = size() - 1u;
    if A_BY_DEPTH {
        return transpose(mat4x4<f32>(
            terms_a(min(row, last.x), depth), terms_a(min(row + 1u, last.x), depth),
            terms_a(min(row + 2u, last.x), depth), terms_a(min(row + 3u, last.x), depth),
        ));
    }
    let quad = min(row, last.x - 3u);
    return mat4x4<f32>(
        terms_a(quad, depth),
        select(vec4<f32>(), terms_a(quad, min(depth + 1u, last.z)), depth + 1u <= last.z),
        select(vec4<f32>(), terms_a(quad, min(depth + 2u, last.z)), depth + 2u <= last.z),
        select(vec4<f32>(), terms_a(quad, min(depth + 3u, last.z)), depth + 3u <= last.z),
    );
}

fn terms_a(row: u32, depth: u32) -> vec4<f32> {
    return vec4<f32>(quad_a(line_a(row), depth));
}

// The same for four columns of b. Depths past the edge repeat the last one, since those of a are zero.
fn part_b(depth: u32, column: u32) -> mat4x4<f32> {
    let last = size() - 1u;
    if B_BY_DEPTH {
        return transpose(mat4x4<f32>(
            terms_b(depth, min(column, last.y)), terms_b(depth, min(column + 1u, last.y)),
            terms_b(depth, min(column + 2u, last.y)), terms_b(depth, min(column + 3u, last.y)),
        ));
    }
    let quad = min(column, last.y - 3u);
    return mat4x4<f32>(
        terms_b(depth, quad),
        terms_b(min(depth + 1u, last.z), quad),
        terms_b(min(depth + 2u, last.z), quad),
        terms_b(min(depth + 3u, last.z), quad),
    );
}

fn terms_b(depth: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(quad_b(line_b(column), depth));
}

// The product of four depths, transposed: a column of the result is a row of the product.
fn terms(a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
    return b * transpose(a);
}

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) within: vec3<u32>,
) {
    let thread = 8u * group + within;
    let row = SIDE * thread.y;
    let column = SIDE * thread.x;
    let size = size();
    if row >= size.x || column >= size.y {
        return;
    }
    var sum00 = mat4x4<f32>();
    var sum01 = mat4x4<f32>();
    var sum10 = mat4x4<f32>();
    var sum11 = mat4x4<f32>();
    // The sums of a over depth, for four rows each.
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    for (var depth = 0u; depth < size.z; depth += 4u) {
        let b0 = part_b(depth, column);
        let b1 = part_b(depth, column + 4u);
        let a0 = part_a(row, depth);
        sum00 += terms(a0, b0);
        sum01 += terms(a0, b1);
        let a1 = part_a(row + 4u, depth);
        sum10 += terms(a1, b0);
        sum11 += terms(a1, b1);
        if HAS_SUMS {
            sum0 += a0 * vec4<f32>(1.0);
            sum1 += a1 * vec4<f32>(1.0);
        }
    }
    if HAS_SUMS && column == 0u {
        store_sums(row, sum0);
        if row + 4u < size.x {
            store_sums(row + 4u, sum1);
        }
    }
    // An array only from here on, for the loop: what is indexed by a variable is kept in memory, not in registers.
    var sums = array<mat4x4<f32>, 4>(sum00, sum01, sum10, sum11);
    let rows = min(SIDE, size.x - row);
    let quads = min(SIDE, size.y - column + 3u) / 4u;
    for (var i = 0u; i < rows; i++) {
        for (var j = 0u; j < quads; j++) {
            store(row + i, column + 4u * j, sums[i / 4u * 2u + j][i % 4u]);
        }
    }
}
