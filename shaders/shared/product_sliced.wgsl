// A 32×32 tile of the product in a workgroup of 256 threads, for results that are small or narrow beside their depth, such
// as the gradient of a weight. The workgroup has four slices: each adds up every fourth run of 16 terms, with 4×4 of the
// result per thread, and the slices are added in order at the end. So a GPU has many workgroups, each with many loads in
// flight.
const SLICE: u32 = 64u; // threads per slice
const SHARE: u32 = 16u; // terms of DEPTH per slice

var<private> sum0: vec4<f32>;
var<private> sum1: vec4<f32>;
var<private> sum2: vec4<f32>;
var<private> sum3: vec4<f32>;

fn term(depth: u32, rows: u32, columns: u32) {
    let a = rows_at(depth, rows);
    let b = columns_at(depth, columns);
    sum0 = fma(vec4<f32>(a.x), b, sum0);
    sum1 = fma(vec4<f32>(a.y), b, sum1);
    sum2 = fma(vec4<f32>(a.z), b, sum2);
    sum3 = fma(vec4<f32>(a.w), b, sum3);
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
    let slice = thread / SLICE;
    let first = slice * SHARE;
    let rows = (thread % SLICE) / COLUMN_QUADS;
    let columns = thread % COLUMN_QUADS;
    find_lines(thread, row_start, column_start);
    fetch(thread, 0u);
    keep(thread, 0u, size().z);
    workgroupBarrier();
    for (var depth = DEPTH; depth < size().z + DEPTH; depth += DEPTH) {
        fetch(thread, depth);
        for (var i = 0u; i < SHARE; i += 8u) {
            term(first + i, rows, columns);
            term(first + i + 1u, rows, columns);
            term(first + i + 2u, rows, columns);
            term(first + i + 3u, rows, columns);
            term(first + i + 4u, rows, columns);
            term(first + i + 5u, rows, columns);
            term(first + i + 6u, rows, columns);
            term(first + i + 7u, rows, columns);
        }
        workgroupBarrier();
        keep(thread, depth, size().z);
        workgroupBarrier();
    }
    if HAS_SUMS && tile.y == 0u {
        deliver_sums_of(thread, 0u, row_start);
    }
    let place = 4u * rows * COLUMN_QUADS + columns;
    leave(slice, place, sum0);
    leave(slice, place + COLUMN_QUADS, sum1);
    leave(slice, place + 2u * COLUMN_QUADS, sum2);
    leave(slice, place + 3u * COLUMN_QUADS, sum3);
    workgroupBarrier();
    let row = thread / COLUMN_QUADS;
    let quad = thread % COLUMN_QUADS;
    if row_start + row < size().x && column_start + 4u * quad < size().y {
        let low = rows_at(row, quad) + rows_at(ROWS + row, quad);
        let high = columns_at(row, quad) + columns_at(ROWS + row, quad);
        store(row_start + row, column_start + 4u * quad, low + high);
    }
}

// Writes a quad of a slice's result to the memory of the tiles, now [slice, row, columns] with two slices in each tile.
fn leave(slice: u32, place: u32, value: vec4<f32>) {
    let at = 2u * ((slice % 2u) * ROWS * COLUMN_QUADS + place);
    if slice < 2u {
        tile_a[at] = value.xy;
        tile_a[at + 1u] = value.zw;
    } else {
        tile_b[at] = value.xy;
        tile_b[at + 1u] = value.zw;
    }
}
