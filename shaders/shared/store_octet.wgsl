// Stores eight sums of a row for a kernel that stores four at a time.
fn store_octet(row: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    store(row, column, low);
    if column + 4u < params.n {
        store(row, column + 4u, high);
    }
}
