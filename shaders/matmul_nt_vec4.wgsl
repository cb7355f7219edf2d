// matmul_nt for n and k that are multiples of four.
struct LinearProduct {
    m: u32,
    n: u32,
    k: u32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: LinearProduct;
@group(0) @binding(1) var<storage, read> a: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<Real>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> residual: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read_write> pre: array<vec4<Real>>;
@group(0) @binding(6) var<storage, read> step: StepState;
@group(0) @binding(7) var<storage, read_write> c: array<vec4<Real>>;

const A_BY_DEPTH: bool = true;
const B_BY_DEPTH: bool = true;

fn size() -> vec3<u32> {
    return vec3<u32>(params.m, params.n, params.k);
}

fn line_a(row: u32) -> u32 {
    return row * (params.k / 4u);
}

fn line_b(column: u32) -> u32 {
    return column * (params.k / 4u);
}

fn quad_a(line: u32, depth: u32) -> vec4<Real> {
    return a[line + depth / 4u];
}

fn quad_b(line: u32, depth: u32) -> vec4<Real> {
    return b[line + depth / 4u];
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    let at = (row * params.n + column) / 4u;
    var masks: vec4<f32>;
    if HAS_STEP {
        let origin = dropout_origin(params.n);
        masks = masks_of_quad(params.rate, origin, at + origin.skipped / 4u);
    }
    store_masked(at, column, value, masks);
}

// For an n that is a multiple of eight, so that rows are whole octets.
fn store_octet(row: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    let at = (row * params.n + column) / 4u;
    var words: vec4<u32>;
    if HAS_STEP {
        words = words_of_octet(dropout_origin(params.n), at / 2u);
    }
    store_masked(at, column, low, masks_of_half(params.rate, words, 0u));
    store_masked(at + 1u, column + 4u, high, masks_of_half(params.rate, words, 1u));
}

fn store_masked(at: u32, column: u32, value: vec4<f32>, masks: vec4<f32>) {
    var result = value;
    if HAS_BIAS {
        result += vec4<f32>(bias[column / 4u]);
    }
    if HAS_PRE {
        pre[at] = vec4<Real>(result);
        result = vec4<f32>(gelu(result.x), gelu(result.y), gelu(result.z), gelu(result.w));
    }
    if HAS_STEP {
        result *= masks;
    }
    if HAS_RESIDUAL {
        result += vec4<f32>(residual[at]);
    }
    c[at] = vec4<Real>(result);
}

