// A 64×64 tile of the product in a workgroup of 16×16 threads, 4×4 per thread; both operands go through workgroup memory,
// 16 terms at a time. The kernel in front of this file gives
//   size()                                       rows, columns and depth of the product
//   load_a(row, depth), load_b(depth, column)    operands; A_BY_DEPTH, B_BY_DEPTH: whether depth is adjacent in memory
//   store(row, column, vec4)                     four columns from `column` on; some may be past the edge
//   HAS_SUMS, store_sums(row, vec4)              whether a is also summed over depth (A_BY_DEPTH is false then); four rows
const TILE: u32 = 64u;
const DEPTH: u32 = 16u;

var<workgroup> tile_a: array<vec4<f32>, 256>; // [DEPTH, TILE / 4]
var<workgroup> tile_b: array<vec4<f32>, 256>;

fn fetch_a(row: u32, depth: u32) -> f32 {
    if row < size().x && depth < size().z {
        return load_a(row, depth);
    }
    return 0.0;
}

fn fetch_b(depth: u32, column: u32) -> f32 {
    if column < size().y && depth < size().z {
        return load_b(depth, column);
    }
    return 0.0;
}

// Which four rows (or columns) and which depth a thread loads, so that neighbouring threads load neighbouring elements.
fn place(thread: u32, by_depth: bool) -> vec2<u32> {
    if by_depth {
        return vec2<u32>(thread / 16u, thread % 16u);
    }
    return vec2<u32>(thread % 16u, thread / 16u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row_start = group.y * TILE;
    let column_start = group.x * TILE;
    let at_a = place(thread, A_BY_DEPTH);
    let at_b = place(thread, B_BY_DEPTH);
    let thread_row = thread / 16u;
    let thread_column = thread % 16u;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var sum_a = vec4<f32>();
    for (var depth = 0u; depth < size().z; depth += DEPTH) {
        let row = row_start + 4u * at_a.x;
        let depth_a = depth + at_a.y;
        let quad_a = vec4<f32>(
            fetch_a(row, depth_a), fetch_a(row + 1u, depth_a), fetch_a(row + 2u, depth_a), fetch_a(row + 3u, depth_a),
        );
        tile_a[at_a.y * 16u + at_a.x] = quad_a;
        sum_a += quad_a;
        let column = column_start + 4u * at_b.x;
        let depth_b = depth + at_b.y;
        tile_b[at_b.y * 16u + at_b.x] = vec4<f32>(
            fetch_b(depth_b, column), fetch_b(depth_b, column + 1u),
            fetch_b(depth_b, column + 2u), fetch_b(depth_b, column + 3u),
        );
        workgroupBarrier();
        for (var i = 0u; i < DEPTH; i++) {
            let a = tile_a[i * 16u + thread_row];
            let b = tile_b[i * 16u + thread_column];
            sum0 += a.x * b;
            sum1 += a.y * b;
            sum2 += a.z * b;
            sum3 += a.w * b;
        }
        workgroupBarrier();
    }
    if HAS_SUMS && column_start == 0u {
        store_sums_of(row_start, thread, sum_a);
    }
    let row = row_start + 4u * thread_row;
    let column = column_start + 4u * thread_column;
    store_guarded(row, column, sum0);
    store_guarded(row + 1u, column, sum1);
    store_guarded(row + 2u, column, sum2);
    store_guarded(row + 3u, column, sum3);
}

// Adds up the sums of threads that loaded the same rows.
fn store_sums_of(row_start: u32, thread: u32, sum_a: vec4<f32>) {
    tile_a[thread] = sum_a;
    workgroupBarrier();
    let row = row_start + 4u * thread;
    if thread < 16u && row < size().x {
        var total = tile_a[thread];
        for (var i = 1u; i < DEPTH; i++) {
            total += tile_a[i * 16u + thread];
        }
        store_sums(row, total);
    }
}

fn store_guarded(row: u32, column: u32, value: vec4<f32>) {
    if row < size().x && column < size().y {
        store(row, column, value);
    }
}
