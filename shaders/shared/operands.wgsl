// What product_matrices.wgsl needs of a product of a and b, apart from its size and its stores.
fn octets_of_a(row: u32) -> u32 {
    return row * (params.k / 8u);
}

fn octets_of_b(column: u32) -> u32 {
    return column * (params.k / 8u);
}

fn octet_a(at: u32) -> Octet {
    return Octet(a[2u * at], a[2u * at + 1u]);
}

fn octet_b(at: u32) -> Octet {
    return Octet(b[2u * at], b[2u * at + 1u]);
}

fn rows_at(row: u32, depth: u32) -> vec4<Real> {
    return a[depth * (params.m / 4u) + row / 4u];
}

fn columns_at(depth: u32, column: u32) -> vec4<Real> {
    return b[depth * (params.n / 4u) + column / 4u];
}
