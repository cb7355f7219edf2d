// A ROWS×COLUMNS tile of the product in a workgroup of THREADS, for GPUs. Each thread holds 8×8 (or 8×4) of the result in
// registers, and fetches its share of the next DEPTH terms from memory before it multiplies those in workgroup memory.
//
// A subgroup of 32 is 4×8 threads, so that what it reads at once lies in few banks. A thread's result has the quads of rows
// `rows` and `rows + 4`, by the quad of columns `columns` and, in a wide tile, also `columns + 8`.
const WIDE: bool = COLUMNS == 128u;

// Each is one row of the result, in two halves.
var<private> low0: vec4<f32>;
var<private> low1: vec4<f32>;
var<private> low2: vec4<f32>;
var<private> low3: vec4<f32>;
var<private> low4: vec4<f32>;
var<private> low5: vec4<f32>;
var<private> low6: vec4<f32>;
var<private> low7: vec4<f32>;
var<private> high0: vec4<f32>;
var<private> high1: vec4<f32>;
var<private> high2: vec4<f32>;
var<private> high3: vec4<f32>;
var<private> high4: vec4<f32>;
var<private> high5: vec4<f32>;
var<private> high6: vec4<f32>;
var<private> high7: vec4<f32>;

// Adds the products at one depth.
fn term(depth: u32, rows: u32, columns: u32) {
    let a = rows_at(depth, rows);
    let further_a = rows_at(depth, rows + 4u);
    let b = columns_at(depth, columns);
    low0 = fma(vec4<f32>(a.x), b, low0);
    low1 = fma(vec4<f32>(a.y), b, low1);
    low2 = fma(vec4<f32>(a.z), b, low2);
    low3 = fma(vec4<f32>(a.w), b, low3);
    low4 = fma(vec4<f32>(further_a.x), b, low4);
    low5 = fma(vec4<f32>(further_a.y), b, low5);
    low6 = fma(vec4<f32>(further_a.z), b, low6);
    low7 = fma(vec4<f32>(further_a.w), b, low7);
    if WIDE {
        let further_b = columns_at(depth, columns + 8u);
        high0 = fma(vec4<f32>(a.x), further_b, high0);
        high1 = fma(vec4<f32>(a.y), further_b, high1);
        high2 = fma(vec4<f32>(a.z), further_b, high2);
        high3 = fma(vec4<f32>(a.w), further_b, high3);
        high4 = fma(vec4<f32>(further_a.x), further_b, high4);
        high5 = fma(vec4<f32>(further_a.y), further_b, high5);
        high6 = fma(vec4<f32>(further_a.z), further_b, high6);
        high7 = fma(vec4<f32>(further_a.w), further_b, high7);
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tile = tile_of(group, groups);
    let row_start = tile.x * ROWS;
    let column_start = tile.y * COLUMNS;
    let rows = (thread / 64u) * 8u + (thread % 32u) / 8u;
    let columns = ((thread / 32u) % 2u) * (COLUMN_QUADS / 2u) + thread % 8u;
    let terms = terms_of(group.z, groups.z);
    find_lines(thread, row_start, column_start);
    fetch(thread, terms.x);
    keep(thread, terms.x, terms.y);
    workgroupBarrier();
    // The terms of a round are written without a loop: drivers would wait for the fetched data before a loop.
    for (var depth = terms.x + DEPTH; depth < terms.y + DEPTH; depth += DEPTH) {
        fetch(thread, depth);
        term(0u, rows, columns);
        term(1u, rows, columns);
        term(2u, rows, columns);
        term(3u, rows, columns);
        term(4u, rows, columns);
        term(5u, rows, columns);
        term(6u, rows, columns);
        term(7u, rows, columns);
        term(8u, rows, columns);
        term(9u, rows, columns);
        term(10u, rows, columns);
        term(11u, rows, columns);
        term(12u, rows, columns);
        term(13u, rows, columns);
        term(14u, rows, columns);
        term(15u, rows, columns);
        workgroupBarrier();
        keep(thread, depth, terms.y);
        workgroupBarrier();
    }
    if HAS_SUMS && tile.y == 0u {
        deliver_sums_of(thread, group.z, row_start);
    }
    let row = row_start + 4u * rows;
    let column = column_start + 4u * columns;
    deliver_guarded(group.z, row, column, low0, high0);
    deliver_guarded(group.z, row + 1u, column, low1, high1);
    deliver_guarded(group.z, row + 2u, column, low2, high2);
    deliver_guarded(group.z, row + 3u, column, low3, high3);
    deliver_guarded(group.z, row + 16u, column, low4, high4);
    deliver_guarded(group.z, row + 17u, column, low5, high5);
    deliver_guarded(group.z, row + 18u, column, low6, high6);
    deliver_guarded(group.z, row + 19u, column, low7, high7);
}

fn deliver_guarded(part: u32, row: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    if row < size().x {
        if column < size().y {
            deliver(part, row, column, low);
        }
        if WIDE && column + 32u < size().y {
            deliver(part, row, column + 32u, high);
        }
    }
}
