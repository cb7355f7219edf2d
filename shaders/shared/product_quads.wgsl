// What product_fetch.wgsl loads, for a kernel that gives load_a(row, depth) and load_b(depth, column): products of any
// size, though an element at a time. Elements past an edge are zero.
fn element_a(row: u32, depth: u32) -> f32 {
    if row < size().x && depth < size().z {
        return load_a(row, depth);
    }
    return 0.0;
}

fn element_b(depth: u32, column: u32) -> f32 {
    if column < size().y && depth < size().z {
        return load_b(depth, column);
    }
    return 0.0;
}

fn quad_a(row: u32, depth: u32) -> vec4<f32> {
    if A_BY_DEPTH {
        return vec4<f32>(
            load_a(row, depth), element_a(row, depth + 1u), element_a(row, depth + 2u), element_a(row, depth + 3u),
        );
    }
    return vec4<f32>(
        load_a(row, depth), element_a(row + 1u, depth), element_a(row + 2u, depth), element_a(row + 3u, depth),
    );
}

fn quad_b(depth: u32, column: u32) -> vec4<f32> {
    if B_BY_DEPTH {
        return vec4<f32>(
            load_b(depth, column), element_b(depth + 1u, column),
            element_b(depth + 2u, column), element_b(depth + 3u, column),
        );
    }
    return vec4<f32>(
        load_b(depth, column), element_b(depth, column + 1u),
        element_b(depth, column + 2u), element_b(depth, column + 3u),
    );
}
