//! The matrix product in its three transpositions: `nt` for a linear layer's forward pass, `nn` for the gradient of its
//! input, `tn` for the gradient of its weight. Weights are `[out, in]`, so y = x·Wᵀ is `nt`.

use super::case::Sizes;
use super::cpu::gemm::{Cores, Matrix, product, product_rows, with_transposed};
use super::cpu::math::with_math;
use super::cpu::parallel::sum_groups;
use super::cpu::reduce::add;
use super::cpu::simd::inlined;
use super::dropout::{DropoutMasks, step_fill};
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::mathematics::{dropped, gelu, linear, plus, times};
use super::product_variants::{depth_parts, product_design, product_variants};
use super::step::STEP_WORDS;
use rayon::prelude::*;

params! {
    /// An m×n result of sums over k terms.
    pub struct Product {
        m: u32,
        n: u32,
        k: u32,
    }
}

impl Product {
    fn flops(&self) -> u64 {
        2 * u64::from(self.m) * u64::from(self.n) * u64::from(self.k)
    }

    /// How many parts the variant `split` of aᵀ·b cuts the depth into; a second pass adds their sums. 1 where it does not fit.
    fn split(&self) -> u32 {
        let quads = self.m.is_multiple_of(4) && self.n.is_multiple_of(4);
        if quads { depth_parts([self.m, self.n, self.k]) } else { 1 }
    }

    /// Elements of those parts. A quad if there are none, since an argument must not be empty.
    fn parts_len(&self) -> u32 {
        if self.split() > 1 { self.split() * self.m * (self.n + 1) } else { 4 }
    }
}

params! {
    /// The product of a linear layer: m×n sums over k terms.
    pub struct LinearProduct {
        m: u32,
        n: u32,
        k: u32,
        /// If `step` is given, the probability that an element is dropped, in [0, 1).
        rate: f32,
        /// Tells the dropout layers of a model apart.
        site: u32,
    }
}

impl LinearProduct {
    fn product(&self) -> Product {
        Product { m: self.m, n: self.n, k: self.k }
    }
}

/// Without dropout.
impl From<Product> for LinearProduct {
    fn from(Product { m, n, k }: Product) -> Self {
        LinearProduct { m, n, k, rate: 0.0, site: 0 }
    }
}

kernel! {
    /// c = a·bᵀ (+ bias) (through GELU if `pre` is given, which keeps the pre-activation) (through dropout if `step` is given)
    /// (+ residual).
    pub static MATMUL_NT(MatmulNtArgs) = "matmul_nt" (p: &LinearProduct);
    args {
        In a: real[p.m * p.k],
        In b: real[p.n * p.k],
        MaybeIn bias: f32[p.n],
        MaybeIn residual: real[p.m * p.n],
        MaybeOut pre: real[p.m * p.n],
        MaybeIn step: u32[STEP_WORDS],
        Out c: real[p.m * p.n],
    }
    constants {}
    variants: product_variants!(
        p: &LinearProduct,
        [p.m, p.n],
        each [
            "shared/no_sums.wgsl", "shared/gelu.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
            "shared/dropout_rows.wgsl", "matmul_nt.wgsl"
        ],
        quads [
            "shared/no_sums.wgsl", "shared/gelu.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
            "shared/dropout_rows.wgsl", "matmul_nt_vec4.wgsl"
        ] fit p.n.is_multiple_of(4) && p.k.is_multiple_of(4),
        octets [
            "shared/no_sums.wgsl", "shared/gelu.wgsl", "shared/philox.wgsl", "shared/step.wgsl", "shared/dropout.wgsl",
            "shared/dropout_rows.wgsl", "matmul_nt_vec4.wgsl", "shared/operands.wgsl"
        ] fit p.n.is_multiple_of(8) && p.k.is_multiple_of(8)
    ),
    design(class): product_design([p.m, p.n, p.k], 1, class),
    flops: p.product().flops(),
    tolerance: 1e-5,
    exact: true,
    cases: nt_cases,
    bench: nt_bench,
    twin: matmul_nt,
    formula(a, b, bias, residual, pre, step) -> [pre, c]: {
        let sums = linear(a, b, bias, p.k);
        let y = if pre.is_empty() { sums.clone() } else { sums.iter().map(gelu).collect() };
        [sums, plus(&dropped(&y, p.n, &step.words, p.site, p.rate), residual)]
    },
}

fn matmul_nt(p: &LinearProduct, views: Views) {
    let [a, b, bias, residual, pre, step, c] = views.array();
    let (bias, residual) = (bias.read::<f32>(), residual.read::<f32>());
    let (pre, c) = (pre.write::<f32>(), c.write::<f32>());
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    let a = Matrix::new(a.read(), m, k);
    let dropout = DropoutMasks::given(step.read(), p.site, p.rate);
    let activate = !pre.is_empty();
    let (sums, activated) = if activate { (pre, c) } else { (c, &mut [][..]) };
    with_transposed(b.read(), [n, k], m, |b| {
        product_rows(
            sums,
            activated,
            a,
            b,
            inlined!(|first, sums, activated| {
                if !bias.is_empty() {
                    sums.chunks_exact_mut(n).for_each(|row| add(row, bias));
                }
                if activate {
                    with_math(inlined!(|math| {
                        for (y, x) in activated.iter_mut().zip(&*sums) {
                            *y = math.gelu(*x);
                        }
                    }));
                }
                let c = if activate { activated } else { sums };
                if let Some(masks) = dropout {
                    masks.apply(n, first * n, c);
                }
                if !residual.is_empty() {
                    add(c, &residual[first * n..]);
                }
            }),
        );
    });
}

kernel! {
    /// c = a·b (· gelu'(pre)) (+ residual).
    pub static MATMUL_NN(MatmulNnArgs) = "matmul_nn" (p: &Product);
    args {
        In a: real[p.m * p.k],
        In b: real[p.k * p.n],
        MaybeIn residual: real[p.m * p.n],
        MaybeIn pre: real[p.m * p.n],
        Out c: real[p.m * p.n],
    }
    constants {}
    variants: product_variants!(
        p: &Product,
        [p.m, p.n],
        each ["shared/no_sums.wgsl", "shared/gelu.wgsl", "matmul_nn.wgsl"],
        quads ["shared/no_sums.wgsl", "shared/gelu.wgsl", "matmul_nn_vec4.wgsl"]
            fit p.n.is_multiple_of(4) && p.k.is_multiple_of(4),
        octets [
            "shared/no_sums.wgsl", "shared/gelu.wgsl", "matmul_nn_vec4.wgsl", "shared/operands.wgsl",
            "shared/store_octet.wgsl"
        ]
            fit p.n.is_multiple_of(4) && p.k.is_multiple_of(8)
    ),
    design(class): product_design([p.m, p.n, p.k], 1, class),
    flops: p.flops(),
    tolerance: 1e-5,
    exact: true,
    cases: nn_cases,
    bench: nn_bench,
    twin: matmul_nn,
    gradient(x -> c; a, b, residual, pre): {
        let y = if pre.is_empty() { x.to_vec() } else { plus(pre, x).iter().map(gelu).collect() };
        [times(a, &linear(&y, b, &[], p.n)), times(residual, x)].concat()
    },
}

fn matmul_nn(p: &Product, views: Views) {
    let [a, b, residual, pre, c] = views.array();
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    let (residual, pre) = (residual.read::<f32>(), pre.read::<f32>());
    product_rows(
        c.write(),
        &mut [],
        Matrix::new(a.read(), m, k),
        Matrix::new(b.read(), k, n),
        inlined!(|first, c, _| {
            if !pre.is_empty() {
                with_math(inlined!(|math| {
                    for (c, pre) in c.iter_mut().zip(&pre[first * n..]) {
                        *c *= math.gelu_gradient(*pre);
                    }
                }));
            }
            if !residual.is_empty() {
                add(c, &residual[first * n..]);
            }
        }),
    );
}

kernel! {
    /// c += aᵀ·b, and sums += Σ a over k: the gradient of a linear layer's weight from that of its outputs, and of its bias.
    pub static MATMUL_TN(MatmulTnArgs) = "matmul_tn" (p: &Product);
    args {
        In a: real[p.k * p.m],
        In b: real[p.k * p.n],
        ShaderScratch parts: f32[p.parts_len()],
        InOut c: f32[p.m * p.n],
        MaybeInOut sums: f32[p.m],
    }
    constants {}
    variants: product_variants!(
        p: &Product,
        [p.m, p.n],
        each ["matmul_tn.wgsl"],
        quads ["matmul_tn_vec4.wgsl"] fit p.m.is_multiple_of(4) && p.n.is_multiple_of(4),
        octets ["matmul_tn_vec4.wgsl", "shared/operands.wgsl", "shared/store_octet.wgsl"]
            fit p.m.is_multiple_of(4) && p.n.is_multiple_of(4),
        also [
            variant!(p: &Product, "split" = [
                "matmul_tn_vec4.wgsl", "shared/tile_large.wgsl", "shared/product_fetch.wgsl", "shared/product_split.wgsl",
                "shared/product_blocked.wgsl"
            ] {
                fits: p.split() > 1,
                "main": [p.n.div_ceil(128), p.m.div_ceil(128), p.split()],
                "total": [(p.m * (p.n + 1) / 4).div_ceil(256 * p.split()), 1, p.split()],
            })
        ]
    ),
    design(class): product_design([p.m, p.n, p.k], p.split(), class),
    flops: p.flops(),
    tolerance: 1e-5,
    exact: true,
    cases: tn_cases,
    bench: tn_bench,
    twin: matmul_tn,
    gradient(weight -> c, bias -> sums; a, b): times(a, &linear(b, weight, bias, p.n)),
}

fn matmul_tn(p: &Product, views: Views) {
    let [a, b, _, c, sums] = views.array();
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    let a = a.read::<f32>();
    let sums = sums.write::<f32>();
    if !sums.is_empty() {
        add_column_sums(a, m, sums);
    }
    let (a, b) = (Matrix::new(a, k, m).transposed(), Matrix::new(b.read(), k, n));
    let ((c, add), share) = (c.write_sums::<f32>(), m.div_ceil(rayon::current_num_threads()));
    if share < LEAST_SHARE {
        return product(Matrix::new(c, m, n), add, a, b, Cores::All);
    }
    c.par_chunks_mut(share * n).enumerate().for_each(|(number, c)| {
        let rows = c.len() / n;
        product(Matrix::new(c, rows, n), add, a.rows(number * share, rows), b, Cores::One);
    });
}

/// sums += the sums of the columns of x [rows, width].
fn add_column_sums(x: &[f32], width: usize, sums: &mut [f32]) {
    sum_groups(
        x.len() / width,
        width,
        inlined!(|rows, partial| {
            x[rows.start * width..rows.end * width].chunks_exact(width).for_each(|row| add(partial, row));
        }),
        inlined!(|partial| add(sums, partial)),
    );
}

/// With at least this many rows it is faster for each core to compute a share of the product by itself than for all to share
/// each product.
const LEAST_SHARE: usize = 64;

/// Sizes around the edges of tiles, of quads and of the depths that are loaded at once.
const SHAPES: [[u32; 3]; 12] = [
    [1, 1, 1],
    [63, 65, 17],
    [64, 64, 64],
    [65, 63, 33],
    [5, 130, 100],
    [129, 66, 7],
    [132, 136, 68],
    [126, 132, 20],
    [136, 72, 40],
    [8, 20, 8],
    [12, 140, 42],
    [150, 136, 104],
];
const ANY: Fill = Fill::Uniform(-3.0, 3.0);

/// One case for each shape, with fills that depend on its number. `pre` is the place of the argument that turns GELU on, which
/// is not exact.
fn cases_of<P: Params + From<Product>>(pre: Option<usize>, fills: impl Fn(usize) -> Vec<Fill>) -> Vec<Case> {
    let case = |(i, &[m, n, k]): (usize, &[u32; 3])| {
        let fills = fills(i);
        let exact = pre.is_none_or(|place| matches!(fills[place], Fill::Absent));
        let case = Case::new(P::from(Product { m, n, k }), fills);
        if exact { case } else { case.inexact() }
    };
    SHAPES.iter().enumerate().map(case).collect()
}

/// The argument is present when the bit is set in the case's number, so that every combination has a shape.
fn when(case: usize, bit: usize, fill: Fill) -> Fill {
    if case >> bit & 1 == 1 { fill } else { Fill::Absent }
}

fn nt_cases() -> Vec<Case> {
    let fills = |bits: usize, step| {
        let (bias, residual, pre) = (when(bits, 0, ANY), when(bits, 1, ANY), when(bits + 2, 2, Fill::Nothing));
        vec![ANY, ANY, bias, residual, pre, step, Fill::Nothing]
    };
    let dropped = |(bits, [m, n, k]): (usize, [u32; 3])| {
        let p = LinearProduct { rate: 0.1 + 0.1 * bits as f32, site: (1 << 16) + m, ..Product { m, n, k }.into() };
        Case::new(p, fills(bits, step_fill(n, bits as u32))).inexact()
    };
    let mut cases = cases_of::<LinearProduct>(Some(4), |i| fills(i, Fill::Absent));
    // The last two have enough rows for the twin's blocks; 862 rows of 19 end within a call of the generator.
    cases.extend(
        [
            (0, SHAPES[1]),
            (3, SHAPES[4]),
            (4, SHAPES[5]),
            (6, SHAPES[2]),
            (7, SHAPES[7]),
            (3, SHAPES[8]),
            (5, SHAPES[11]),
            (7, [870, 19, 2]),
            (7, [1100, 3, 2]),
        ]
        .map(dropped),
    );
    cases
}

fn nn_cases() -> Vec<Case> {
    let mut cases = cases_of::<Product>(Some(3), |i| vec![ANY, ANY, when(i, 0, ANY), when(i, 2, ANY), Fill::Nothing]);
    // Enough rows for the twin's blocks.
    cases.push(Case::new(Product { m: 1030, n: 5, k: 7 }, [ANY, ANY, ANY, ANY, Fill::Nothing]).inexact());
    cases
}

/// Includes depths that are split: where the last part is cut short, with one tile and with several.
fn tn_cases() -> Vec<Case> {
    let fills = |i| vec![ANY, ANY, Fill::Nothing, ANY, when(i, 0, ANY)];
    let mut cases = cases_of::<Product>(None, fills);
    let split = [[4, 8, 1030], [132, 260, 777], [64, 36, 515], [7, 130, 520]];
    cases.extend(split.iter().enumerate().map(|(i, &[m, n, k])| Case::new(Product { m, n, k }, fills(i + 1))));
    cases
}

/// The first linear layer of a feed-forward block, with the forward pass of GELU.
fn nt_bench(s: &Sizes) -> Case {
    let p = LinearProduct::from(Product { m: s.rows(), n: s.inner, k: s.width });
    Case::new(p, [ANY, ANY, ANY, Fill::Absent, Fill::Nothing, Fill::Absent, Fill::Nothing])
}

/// The gradient of that layer's input.
fn nn_bench(s: &Sizes) -> Case {
    let p = Product { m: s.rows(), n: s.width, k: s.inner };
    Case::new(p, [ANY, ANY, Fill::Absent, ANY, Fill::Nothing])
}

/// The gradient of that layer's weight.
fn tn_bench(s: &Sizes) -> Case {
    Case::new(Product { m: s.inner, n: s.width, k: s.rows() }, [ANY, ANY, Fill::Nothing, ANY, ANY])
}
