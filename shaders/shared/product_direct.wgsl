// The product without workgroup memory or barriers, for adapters that run on a CPU (llvmpipe): a workgroup of 8×8
// threads, 4×4 of the result a thread. Needs the same functions as product_tiled.wgsl.
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let row = 4u * thread.y;
    let column = 4u * thread.x;
    let size = size();
    if row >= size.x || column >= size.y {
        return;
    }
    // Rows and columns past the edge repeat the last one and are not stored.
    let rows = min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(size.x - 1u));
    let columns = min(column + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(size.y - 1u));
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var i = 0u; i < size.z; i++) {
        let b = vec4<f32>(load_b(i, columns.x), load_b(i, columns.y), load_b(i, columns.z), load_b(i, columns.w));
        sum0 += load_a(rows.x, i) * b;
        sum1 += load_a(rows.y, i) * b;
        sum2 += load_a(rows.z, i) * b;
        sum3 += load_a(rows.w, i) * b;
    }
    store_guarded(row, column, sum0);
    store_guarded(row + 1u, column, sum1);
    store_guarded(row + 2u, column, sum2);
    store_guarded(row + 3u, column, sum3);
}

fn store_guarded(row: u32, column: u32, value: vec4<f32>) {
    if row < size().x {
        store(row, column, value);
    }
}
