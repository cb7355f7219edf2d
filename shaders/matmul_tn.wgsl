struct Product {
    m: u32,
    n: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Product;
@group(0) @binding(1) var<storage, read> a: array<Real>;
@group(0) @binding(2) var<storage, read> b: array<Real>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>; // for the variant that splits the depth
@group(0) @binding(4) var<storage, read_write> c: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

const A_BY_DEPTH: bool = false;
const B_BY_DEPTH: bool = false;

fn size() -> vec3<u32> {
    return vec3<u32>(params.m, params.n, params.k);
}

fn load_a(row: u32, depth: u32) -> f32 {
    return f32(a[depth * params.m + row]);
}

fn load_b(depth: u32, column: u32) -> f32 {
    return f32(b[depth * params.n + column]);
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    for (var i = 0u; i < min(4u, params.n - column); i++) {
        c[row * params.n + column + i] += value[i];
    }
}

fn store_sums(row: u32, value: vec4<f32>) {
    for (var i = 0u; i < min(4u, params.m - row); i++) {
        sums[row + i] += value[i];
    }
}

