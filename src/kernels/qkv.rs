//! The fused query, key and value projection and its gradient. Its epilogue has the rotary position embedding of Su et al.
//! (RoFormer, 2021) and the attention scale.

use super::case::Sizes;
use super::cpu::gemm::{BLOCK_ROWS, Cores, Matrix, product, with_transposed};
use super::cpu::parallel::each_row;
use super::cpu::reduce::add;
use super::cpu::scratch::with_scratch;
use super::cpu::simd::{inlined, simd};
use super::kernel::{Case, Fill, Views, kernel, params};
use super::mathematics::{linear, times};
use super::product_variants::{product_design, product_variants};
use rayon::prelude::*;

params! {
    pub struct Qkv {
        /// Sequences.
        batch: u32,
        /// Tokens per sequence.
        sequence: u32,
        heads: u32,
        head_dim: u32,
        /// The factor for queries: 1/√head_dim.
        scale: f32,
    }
}

impl Qkv {
    fn rows(&self) -> u32 {
        self.batch * self.sequence
    }

    /// heads · head_dim.
    fn width(&self) -> u32 {
        self.heads * self.head_dim
    }
}

kernel! {
    /// qkv = rope(x·Wᵀ + bias), head-major [3, B, heads, T, head_dim]; q is also multiplied by `scale`. `rope` holds the cosine
    /// and sine of every position and pair, [T, head_dim/2, 2]; element i of a head rotates with element i + head_dim/2.
    pub static QKV(QkvArgs) = "qkv" (p: &Qkv);
    args {
        In x: real[p.rows() * p.width()],
        In weight: real[3 * p.width() * p.width()],
        MaybeIn bias: f32[3 * p.width()],
        MaybeIn rope: f32[p.sequence * p.head_dim],
        Out qkv: real[3 * p.rows() * p.width()],
    }
    constants {}
    variants: product_variants!(
        p: &Qkv,
        [p.rows(), 3 * p.width()],
        each [
            "shared/no_sums.wgsl", "shared/qkv_shape.wgsl", "shared/qkv_product.wgsl", "shared/qkv.wgsl", "qkv.wgsl"
        ],
        quads [
            "shared/no_sums.wgsl", "shared/qkv_shape.wgsl", "shared/qkv_product.wgsl", "shared/qkv.wgsl", "qkv_vec4.wgsl"
        ] fit p.head_dim.is_multiple_of(4),
        octets ["shared/no_sums.wgsl", "shared/qkv_shape.wgsl", "shared/qkv_product.wgsl", "qkv_matrices.wgsl"]
            fit p.head_dim.is_multiple_of(8)
    ),
    design(class): product_design([p.rows(), 3 * p.width(), p.width()], 1, class),
    flops: 6 * u64::from(p.rows()) * u64::from(p.width()) * u64::from(p.width()),
    tolerance: 1e-5,
    exact: false,
    cases: qkv_cases,
    bench: |s| Case::new(bench_shape(s), [ANY, ANY, ANY, ROPE, Fill::Nothing]),
    twin: qkv,
    formula(x, weight, bias, rope) -> [qkv]: [turned(p, &linear(x, weight, bias, p.width()), rope)],
}

/// [3, B, heads, T, head_dim] from rows [B·T, 3·width], with queries and keys rotated and queries scaled, in f64.
fn turned(p: &Qkv, rows: &[f64], rope: &[f64]) -> Vec<f64> {
    let [batch, sequence, heads, head_dim] = [p.batch, p.sequence, p.heads, p.head_dim].map(|size| size as usize);
    let (width, half) = (heads * head_dim, head_dim / 2);
    let element = |place: usize| {
        let (i, t, head) = (place % head_dim, place / head_dim % sequence, place / head_dim / sequence % heads);
        let (part, b) = (place / (batch * sequence * width), place / (sequence * width) % batch);
        let row = &rows[(b * sequence + t) * 3 * width + part * width + head * head_dim..][..head_dim];
        let scale = if part == 0 { f64::from(p.scale) } else { 1.0 };
        if part == 2 || rope.is_empty() {
            return scale * row[i];
        }
        let angle = &rope[t * head_dim + 2 * (i % half)..][..2];
        let across = if i < half { -row[i + half] } else { row[i - half] };
        scale * (row[i] * angle[0] + across * angle[1])
    };
    (0..rows.len()).map(element).collect()
}

fn qkv(p: &Qkv, views: Views) {
    let [x, weight, bias, rope, qkv] = views.array();
    let (x, weight, bias, rope) = (x.read::<f32>(), weight.read::<f32>(), bias.read::<f32>(), rope.read::<f32>());
    let (batch, heads) = (p.batch as usize, p.heads as usize);
    let (sequence, head_dim, width) = (p.sequence as usize, p.head_dim as usize, p.width() as usize);
    // Sequences in a block, and how many elements of each of q, k and v it has.
    let block = (BLOCK_ROWS / sequence).max(1);
    let size = block * sequence * width;
    let (q, rest) = qkv.write::<f32>().split_at_mut(batch * sequence * width);
    let (k, v) = rest.split_at_mut(batch * sequence * width);
    let blocks = q.par_chunks_mut(size).zip(k.par_chunks_mut(size)).zip(v.par_chunks_mut(size));
    with_transposed(weight, [3 * width, width], batch * sequence, |weight| {
        blocks.zip(x.par_chunks(size)).for_each(|(((q, k), v), x)| {
            let rows = x.len() / width;
            with_scratch(3 * rows * width, |y| {
                product(Matrix::new(&mut *y, rows, 3 * width), false, Matrix::new(x, rows, width), weight, Cores::One);
                simd(inlined!(|| {
                    for (part, out) in [q, k, v].into_iter().enumerate() {
                        for (place, out) in out.chunks_exact_mut(head_dim).enumerate() {
                            let (b, head, t) = (place / sequence / heads, place / sequence % heads, place % sequence);
                            let column = part * width + head * head_dim;
                            out.copy_from_slice(&y[3 * (b * sequence + t) * width + column..][..head_dim]);
                            if !bias.is_empty() {
                                add(out, &bias[column..]);
                            }
                            if part < 2 && !rope.is_empty() {
                                turn(out, &rope[t * head_dim..][..head_dim], 1.0);
                            }
                            if part == 0 {
                                out.iter_mut().for_each(|q| *q *= p.scale);
                            }
                        }
                    }
                }));
            });
        });
    });
}

/// Rotates the pairs (i, i + half) of a head by the angles in `rope`: forwards for direction 1, back for −1.
#[inline(always)]
fn turn(head: &mut [f32], rope: &[f32], direction: f32) {
    let (low, high) = head.split_at_mut(rope.len() / 2);
    for ((low, high), angle) in low.iter_mut().zip(high).zip(rope.chunks_exact(2)) {
        let (cos, sin) = (angle[0], direction * angle[1]);
        (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
    }
}

kernel! {
    /// dy [B·T, 3·width], the gradient of x·Wᵀ + bias, from that of qkv, which is scaled, rotated back and put in rows.
    pub static QKV_BACKWARD(QkvBackwardArgs) = "qkv_backward" (p: &Qkv);
    args {
        In d_qkv: real[3 * p.rows() * p.width()],
        MaybeIn rope: f32[p.sequence * p.head_dim],
        Out dy: real[3 * p.rows() * p.width()],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/qkv_shape.wgsl", "qkv_backward.wgsl"] {
        "main": fold((3 * p.rows() * p.width()).div_ceil(256) as usize),
    }
    variant "quads" = ["shared/index.wgsl", "shared/qkv_shape.wgsl", "qkv_backward_quads.wgsl"] {
        fits: p.head_dim.is_multiple_of(8),
        "main": fold((p.rows() * p.width()).div_ceil(8 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 9 * p.rows() * p.width(),
    tolerance: 1e-5,
    exact: false,
    cases: qkv_backward_cases,
    bench: |s| Case::new(bench_shape(s), [ANY, ROPE, Fill::Nothing]),
    twin: qkv_backward,
    gradient(y -> dy; d_qkv, rope): times(d_qkv, &turned(p, y, rope)),
}

fn qkv_backward(p: &Qkv, views: Views) {
    let [d_qkv, rope, dy] = views.array();
    let (d_qkv, rope) = (d_qkv.read::<f32>(), rope.read::<f32>());
    let (batch, heads) = (p.batch as usize, p.heads as usize);
    let (sequence, head_dim, width) = (p.sequence as usize, p.head_dim as usize, p.width() as usize);
    each_row(
        dy.write::<f32>(),
        3 * width,
        inlined!(|row, dy| {
            let (b, t) = (row / sequence, row % sequence);
            for (place, dy) in dy.chunks_exact_mut(head_dim).enumerate() {
                let (part, head) = (place / heads, place % heads);
                let from = (((part * batch + b) * heads + head) * sequence + t) * head_dim;
                dy.copy_from_slice(&d_qkv[from..][..head_dim]);
                if part == 0 {
                    dy.iter_mut().for_each(|dq| *dq *= p.scale);
                }
                if part < 2 && !rope.is_empty() {
                    turn(dy, &rope[t * head_dim..][..head_dim], -1.0);
                }
            }
        }),
    );
}

const ANY: Fill = Fill::Uniform(-2.0, 2.0);
const ROPE: Fill = Fill::Uniform(-1.0, 1.0);

fn shape([batch, sequence, heads, head_dim]: [u32; 4]) -> Qkv {
    Qkv { batch, sequence, heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt() }
}

fn cases_of(fills: impl Fn(usize, Fill) -> Vec<Fill>) -> Vec<Case> {
    let shapes = [
        [1, 1, 1, 1],
        [2, 7, 3, 4],
        [1, 65, 2, 12],
        [3, 17, 1, 64],
        [2, 5, 2, 7],
        [1, 9, 3, 8],
        [2, 33, 3, 24],
        [1, 70, 2, 72],
        [3, 23, 5, 8],
        // Enough rows for the twin's blocks, of several sequences.
        [60, 20, 1, 4],
    ];
    let shapes = shapes.map(shape);
    let rope = |p: &Qkv| if p.head_dim.is_multiple_of(4) && p.head_dim != 8 { ROPE } else { Fill::Absent };
    shapes.iter().enumerate().map(|(i, p)| Case::new(*p, fills(i, rope(p)))).collect()
}

fn qkv_cases() -> Vec<Case> {
    cases_of(|i, rope| vec![ANY, ANY, if i % 2 == 0 { ANY } else { Fill::Absent }, rope, Fill::Nothing])
}

fn qkv_backward_cases() -> Vec<Case> {
    cases_of(|_, rope| vec![ANY, rope, Fill::Nothing])
}

fn bench_shape(s: &Sizes) -> Qkv {
    shape([s.batch, s.sequence, s.heads, s.head_dim()])
}
