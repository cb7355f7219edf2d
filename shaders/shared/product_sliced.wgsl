// A 32×32 tile of the product in a workgroup of 256 threads, for results that are small or narrow beside their depth, such
// as the gradient of a weight: each of four slices of the workgroup adds up every fourth run of 16 terms, 4×4 of the result
// a thread, and the slices are added in order at the end. So a GPU has many workgroups, and each of them many loads in
// flight.
const SLICE: u32 = 64u; // threads
const SHARE: u32 = 16u; // terms of DEPTH

var<private> sum0: vec4<f32>;
var<private> sum1: vec4<f32>;
var<private> sum2: vec4<f32>;
var<private> sum3: vec4<f32>;

fn term(depth: u32, rows: u32, columns: u32) {
    let a = tile_a[depth * ROW_QUADS + rows];
    let b = tile_b[depth * COLUMN_QUADS + columns];
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
    let rows = (thread % SLICE) / COLUMN_QUADS;
    let columns = thread % COLUMN_QUADS;
    fetch(thread, row_start, column_start, 0u);
    for (var depth = 0u; depth < size().z; depth += DEPTH) {
        keep(thread);
        workgroupBarrier();
        if depth + DEPTH < size().z {
            fetch(thread, row_start, column_start, depth + DEPTH);
        }
        for (var i = slice * SHARE; i < (slice + 1u) * SHARE; i += 4u) {
            term(i, rows, columns);
            term(i + 1u, rows, columns);
            term(i + 2u, rows, columns);
            term(i + 3u, rows, columns);
        }
        workgroupBarrier();
    }
    // The tiles' memory now holds what the slices have: [slice, row, quad of columns].
    let at = (slice % 2u) * 256u + 4u * rows * COLUMN_QUADS + columns;
    if slice < 2u {
        tile_a[at] = sum0;
        tile_a[at + COLUMN_QUADS] = sum1;
        tile_a[at + 2u * COLUMN_QUADS] = sum2;
        tile_a[at + 3u * COLUMN_QUADS] = sum3;
    } else {
        tile_b[at] = sum0;
        tile_b[at + COLUMN_QUADS] = sum1;
        tile_b[at + 2u * COLUMN_QUADS] = sum2;
        tile_b[at + 3u * COLUMN_QUADS] = sum3;
    }
    workgroupBarrier();
    let row = row_start + thread / COLUMN_QUADS;
    let column = column_start + 4u * (thread % COLUMN_QUADS);
    if row < size().x && column < size().y {
        store(row, column, (tile_a[thread] + tile_a[thread + 256u]) + (tile_b[thread] + tile_b[thread + 256u]));
    }
}
