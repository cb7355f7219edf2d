struct LinearProduct {
    m: u32,
    n: u32,
    k: u32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: LinearProduct;
@group(0) @binding(1) var<storage, read> a: array<Real>;
@group(0) @binding(2) var<storage, read> b: array<Real>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<Real>;
@group(0) @binding(5) var<storage, read_write> pre: array<Real>;
@group(0) @binding(6) var<storage, read> step: StepState;
@group(0) @binding(7) var<storage, read_write> c: array<Real>;

const A_BY_DEPTH: bool = true;
const B_BY_DEPTH: bool = true;

fn size() -> vec3<u32> {
    return vec3<u32>(params.m, params.n, params.k);
}

fn load_a(row: u32, depth: u32) -> f32 {
    return f32(a[row * params.k + depth]);
}

fn load_b(depth: u32, column: u32) -> f32 {
    return f32(b[column * params.k + depth]);
}

fn store(row: u32, column: u32, value: vec4<f32>) {
    var masks = vec4<f32>();
    var origin: DropoutOrigin;
    if HAS_STEP {
        origin = dropout_origin(params.n);
    }
    for (var i = 0u; i < min(4u, params.n - column); i++) {
        let at = row * params.n + column + i;
        var result = value[i];
        if HAS_BIAS {
            result += bias[column + i];
        }
        if HAS_PRE {
            pre[at] = Real(result);
            result = gelu(result);
        }
        if HAS_STEP {
            let place = at + origin.skipped;
            if i == 0u || place % 4u == 0u {
                masks = masks_of_quad(params.rate, origin, place / 4u);
            }
            result *= masks[place % 4u];
        }
        if HAS_RESIDUAL {
            result += f32(residual[at]);
        }
        c[at] = Real(result);
    }
}

