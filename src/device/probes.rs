//! Kernels that only move memory or only multiply and add, to be timed. They are declared like a model's kernels, so that a GPU
//! and a CPU run them the same way and the tests check them.

use crate::kernels::cpu::parallel::blocks;
use crate::kernels::cpu::simd::dispatch;
use crate::kernels::kernel::{Case, Fill, Kernel, Views, kernel, params};
use pulp::{Simd, WithSimd};

/// Every probe.
pub static PROBES: &[&Kernel] = &[&COPY, &MULTIPLY_ADD];

params! {
    /// `count`, a multiple of 4, elements.
    pub struct Copy {
        count: u32,
    }
}

kernel! {
    /// y = x.
    pub static COPY(CopyArgs) = "copy" (p: &Copy);
    args {
        In x: f32[p.count],
        Out y: f32[p.count],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "probes/copy.wgsl"] { "main": fold(p.count.div_ceil(4 * 256) as usize), }
    flops: 0,
    tolerance: 0.0,
    exact: true,
    cases: || [4, 1020, 1028].map(copy_case).into(),
    bench: |s| copy_case(s.weights()),
    twin: copy,
    formula(x) -> [y]: [x.to_vec()],
}

fn copy(_: &Copy, views: Views) {
    let [x, y] = views.array();
    let x = x.read::<f32>();
    blocks(y.write::<f32>(), |first, block| block.copy_from_slice(&x[first..][..block.len()]));
}

pub fn copy_case(count: u32) -> Case {
    Case::new(Copy { count }, [ANY, Fill::Nothing])
}

params! {
    /// `count`, a multiple of 8, chains of `rounds` fused multiply-adds.
    pub struct MultiplyAdd {
        count: u32,
        rounds: u32,
        factor: f32,
        term: f32,
    }
}

kernel! {
    /// y = x, after x = x · factor + term has been done `rounds` times.
    pub static MULTIPLY_ADD(MultiplyAddArgs) = "multiply_add" (p: &MultiplyAdd);
    args {
        In x: f32[p.count],
        Out y: f32[p.count],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "probes/multiply_add.wgsl"] {
        "main": fold(p.count.div_ceil(8 * 256) as usize),
    }
    flops: 2 * u64::from(p.count) * u64::from(p.rounds),
    tolerance: 1e-6,
    exact: false,
    cases: || [[8, 1], [1016, 5], [2056, 100]].map(multiply_add_case).into(),
    bench: |s| multiply_add_case([s.weights(), 100]),
    twin: multiply_add,
    formula(x) -> [y]: {
        let (factor, term) = (f64::from(p.factor), f64::from(p.term));
        [x.iter().map(|x| (0..p.rounds).fold(*x, |x, _| x * factor + term)).collect()]
    },
}

fn multiply_add(p: &MultiplyAdd, views: Views) {
    let [x, y] = views.array();
    let x = x.read::<f32>();
    blocks(y.write::<f32>(), |first, block| {
        block.copy_from_slice(&x[first..][..block.len()]);
        dispatch(Chains { values: block, rounds: p.rounds, factor: p.factor, term: p.term });
    });
}

/// The chains of a block: as many vectors as fit into the registers of x86 with AVX2 beside two constants.
struct Chains<'a> {
    values: &'a mut [f32],
    rounds: u32,
    factor: f32,
    term: f32,
}

const VECTORS: usize = 12;

impl WithSimd for Chains<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (factor, term) = (simd.splat_f32s(self.factor), simd.splat_f32s(self.term));
        let (vectors, rest) = S::as_mut_simd_f32s(self.values);
        let (full, few) = vectors.as_chunks_mut::<VECTORS>();
        for chunk in full {
            let mut values = *chunk;
            for _ in 0..self.rounds {
                values = values.map(|value| simd.mul_add_e_f32s(value, factor, term));
            }
            *chunk = values;
        }
        for value in few {
            for _ in 0..self.rounds {
                *value = simd.mul_add_e_f32s(*value, factor, term);
            }
        }
        for value in rest {
            for _ in 0..self.rounds {
                *value = *value * self.factor + self.term;
            }
        }
    }
}

/// The factor is below one, so that errors die out and a chain converges to a number that is not zero.
pub fn multiply_add_case([count, rounds]: [u32; 2]) -> Case {
    Case::new(MultiplyAdd { count, rounds, factor: -0.5, term: 1.0 }, [ANY, Fill::Nothing])
}

const ANY: Fill = Fill::Uniform(-4.0, 4.0);
