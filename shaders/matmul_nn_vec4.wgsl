// matmul_nn for n and k that are multiples of four.
struct Product {
    m: u32,
    n: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Product;
@group(0) @binding(1) var<storage, read> a: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<Real>>;
@group(0) @binding(3) var<storage, read> residual: array<vec4<Real>>;
@group(0) @binding(4) var<storage, read> pre: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read_write> c: array<vec4<Real>>;

const A_BY_DEPTH: bool = true;
const B_BY_DEPTH: bool = false;

fn size() -> vec3<u32> {
    return vec3<u32>(params.m, params.n, params.k);
}

fn line_a(row: u32) -> u32 {
    return row * (params.k / 4u);
}

fn line_b(column: u32) -> u32 {
    return column / 4u;
}

fn quad_a(line: u32, depth: u32) -> vec4<Real> {
    return a[line + depth / 4u];
}

fn quad_b(line: u32, depth: u32) -> vec4<Real> {
    return b[line + depth * (params.n / 4u)];
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    let at = (row * params.n + column) / 4u;
    var result = value;
    if HAS_PRE {
        let x = vec4<f32>(pre[at]);
        result *= vec4<f32>(gelu_gradient(x.x), gelu_gradient(x.y), gelu_gradient(x.z), gelu_gradient(x.w));
    }
    if HAS_RESIDUAL {
        result += vec4<f32>(residual[at]);
    }
    c[at] = vec4<Real>(result);
}

