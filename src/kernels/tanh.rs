//! The hyperbolic tangent and its gradient: the last operation of BERT's pooler.

use super::cpu::math::{Math, with_math};
use super::cpu::parallel::blocks;
use super::cpu::simd::inlined;
use super::gelu::Elements;
use super::kernel::{Case, Fill, Views, kernel};
use super::mathematics::times;

kernel! {
    /// y = tanh(pre).
    pub static TANH(TanhArgs) = "tanh" (p: &Elements);
    args {
        In pre: real[p.count],
        Out y: real[p.count],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/tanh.wgsl", "tanh.wgsl"] {
        "main": fold(p.count.div_ceil(256) as usize),
    }
    flops: 12 * u64::from(p.count),
    tolerance: 2e-6,
    exact: false,
    cases: || COUNTS.map(tanh_case).into(),
    bench: |s| tanh_case(s.batch * s.width),
    twin: tanh_twin,
    formula(pre) -> [y]: [pre.iter().map(|pre| pre.tanh()).collect()],
}

fn tanh_twin(_: &Elements, views: Views) {
    let [pre, y] = views.array();
    let pre = pre.read::<f32>();
    blocks(
        y.write::<f32>(),
        inlined!(|first, block| {
            with_math(inlined!(|math| {
                for (y, pre) in block.iter_mut().zip(&pre[first..]) {
                    *y = tanh(math, *pre);
                }
            }));
        }),
    );
}

kernel! {
    /// d_pre = dy · (1 − tanh²(pre)).
    pub static TANH_BACKWARD(TanhBackwardArgs) = "tanh_backward" (p: &Elements);
    args {
        In pre: real[p.count],
        In dy: real[p.count],
        Out d_pre: real[p.count],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/tanh.wgsl", "tanh_backward.wgsl"] {
        "main": fold(p.count.div_ceil(256) as usize),
    }
    flops: 15 * u64::from(p.count),
    tolerance: 2e-6,
    exact: false,
    cases: || COUNTS.map(tanh_backward_case).into(),
    bench: |s| tanh_backward_case(s.batch * s.width),
    twin: tanh_backward,
    gradient(pre -> d_pre; dy): times(dy, &pre.iter().map(|pre| pre.tanh()).collect::<Vec<_>>()),
}

fn tanh_backward(_: &Elements, views: Views) {
    let [pre, dy, d_pre] = views.array();
    let (pre, dy) = (pre.read::<f32>(), dy.read::<f32>());
    blocks(
        d_pre.write::<f32>(),
        inlined!(|first, block| {
            with_math(inlined!(|math| {
                for ((d_pre, pre), dy) in block.iter_mut().zip(&pre[first..]).zip(&dy[first..]) {
                    let y = tanh(math, *pre);
                    *d_pre = dy * (1.0 - y * y);
                }
            }));
        }),
    );
}

/// The same formula as `shaders/shared/tanh.wgsl`.
#[inline(always)]
fn tanh(math: Math, x: f32) -> f32 {
    1.0 - 2.0 / (math.exp(2.0 * x.clamp(-15.0, 15.0)) + 1.0)
}

const COUNTS: [u32; 4] = [1, 63, 256, 1025];
const ANY: Fill = Fill::Uniform(-4.0, 4.0);

fn tanh_case(count: u32) -> Case {
    Case::new(Elements { count }, [ANY, Fill::Nothing])
}

fn tanh_backward_case(count: u32) -> Case {
    Case::new(Elements { count }, [ANY, ANY, Fill::Nothing])
}
