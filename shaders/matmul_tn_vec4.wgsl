// matmul_tn for m and n that are multiples of four.
struct Product {
    m: u32,
    n: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Product;
@group(0) @binding(1) var<storage, read> a: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<Real>>;
@group(0) @binding(3) var<storage, read_write> parts: array<vec4<f32>>; // for the variant that splits the depth
@group(0) @binding(4) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec4<f32>>;

const A_BY_DEPTH: bool = false;
const B_BY_DEPTH: bool = false;

fn size() -> vec3<u32> {
    return vec3<u32>(params.m, params.n, params.k);
}

fn line_a(row: u32) -> u32 {
    return row / 4u;
}

fn line_b(column: u32) -> u32 {
    return column / 4u;
}

fn quad_a(line: u32, depth: u32) -> vec4<Real> {
    return a[line + depth * (params.m / 4u)];
}

fn quad_b(line: u32, depth: u32) -> vec4<Real> {
    return b[line + depth * (params.n / 4u)];
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    c[(row * params.n + column) / 4u] += value;
}

fn store_sums(row: u32, value: vec4<f32>) {
    sums[row / 4u] += value;
}

