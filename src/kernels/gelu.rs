//! GELU by itself (in a forward pass it is an epilogue of `matmul_nt`) and the gated GELU of Shazeer, "GLU variants improve
//! transformer" (2020), with their gradients.

use super::cpu::math::with_math;
use super::cpu::parallel::{blocks, each_row};
use super::cpu::simd::inlined;
use super::kernel::{Case, Fill, Views, kernel, params};
use super::mathematics::{gelu, times};

params! {
    pub struct Elements {
        count: u32,
    }
}

kernel! {
    /// y = gelu(pre), with the same bits as `matmul_nt`'s epilogue.
    pub static GELU(GeluArgs) = "gelu" (p: &Elements);
    args {
        In pre: real[p.count],
        Out y: real[p.count],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/scalars.wgsl", "shared/gelu.wgsl", "shared/gelu_scalars.wgsl", "gelu.wgsl"
    ] {
        "main": fold(p.count.div_ceil(256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/quads.wgsl", "shared/gelu.wgsl", "shared/gelu_quads.wgsl", "gelu.wgsl"
    ] {
        fits: p.count.is_multiple_of(4),
        "main": fold(p.count.div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 30 * u64::from(p.count),
    tolerance: 2e-6,
    exact: false,
    cases: || COUNTS.map(gelu_case).into(),
    bench: |s| gelu_case(s.rows() * s.inner),
    twin: gelu_twin,
    formula(pre) -> [y]: [pre.iter().map(gelu).collect()],
}

fn gelu_twin(_: &Elements, views: Views) {
    let [pre, y] = views.array();
    let pre = pre.read::<f32>();
    blocks(
        y.write::<f32>(),
        inlined!(|first, block| {
            with_math(inlined!(|math| {
                for (y, pre) in block.iter_mut().zip(&pre[first..]) {
                    *y = math.gelu(*pre);
                }
            }));
        }),
    );
}

kernel! {
    /// d_pre = dy · gelu'(pre).
    pub static GELU_BACKWARD(GeluBackwardArgs) = "gelu_backward" (p: &Elements);
    args {
        In pre: real[p.count],
        In dy: real[p.count],
        Out d_pre: real[p.count],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/scalars.wgsl", "shared/gelu.wgsl", "shared/gelu_scalars.wgsl", "gelu_backward.wgsl"
    ] {
        "main": fold(p.count.div_ceil(256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/quads.wgsl", "shared/gelu.wgsl", "shared/gelu_quads.wgsl", "gelu_backward.wgsl"
    ] {
        fits: p.count.is_multiple_of(4),
        "main": fold(p.count.div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 40 * u64::from(p.count),
    tolerance: 2e-6,
    exact: false,
    cases: || COUNTS.map(gelu_backward_case).into(),
    bench: |s| gelu_backward_case(s.rows() * s.inner),
    twin: gelu_backward,
    gradient(pre -> d_pre; dy): times(dy, &pre.iter().map(gelu).collect::<Vec<_>>()),
}

fn gelu_backward(_: &Elements, views: Views) {
    let [pre, dy, d_pre] = views.array();
    let (pre, dy) = (pre.read::<f32>(), dy.read::<f32>());
    blocks(
        d_pre.write::<f32>(),
        inlined!(|first, block| {
            with_math(inlined!(|math| {
                for ((d_pre, pre), dy) in block.iter_mut().zip(&pre[first..]).zip(&dy[first..]) {
                    *d_pre = dy * math.gelu_gradient(*pre);
                }
            }));
        }),
    );
}

params! {
    pub struct GatedGelu {
        rows: u32,
        /// Width of the result; u is twice as wide.
        width: u32,
    }
}

kernel! {
    /// y = gelu(u[:, ..width]) · u[:, width..].
    pub static GATED_GELU(GatedGeluArgs) = "gated_gelu" (p: &GatedGelu);
    args {
        In u: real[2 * p.rows * p.width],
        Out y: real[p.rows * p.width],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/scalars.wgsl", "shared/gelu.wgsl", "shared/gelu_scalars.wgsl", "gated_gelu.wgsl"
    ] {
        "main": fold((p.rows * p.width).div_ceil(256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/quads.wgsl", "shared/gelu.wgsl", "shared/gelu_quads.wgsl", "gated_gelu.wgsl"
    ] {
        fits: p.width.is_multiple_of(4),
        "main": fold((p.rows * p.width).div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 30 * u64::from(p.rows * p.width),
    tolerance: 2e-6,
    exact: false,
    cases: || SHAPES.map(gated_gelu_case).into(),
    bench: |s| gated_gelu_case((s.rows(), s.inner)),
    twin: gated_gelu,
    formula(u) -> [y]: [gated(u, p.width)],
}

/// Rows of gelu(input) · gate in f64.
fn gated(u: &[f64], width: u32) -> Vec<f64> {
    let row = |row: &[f64]| {
        let (input, gate) = row.split_at(width as usize);
        times(&input.iter().map(gelu).collect::<Vec<_>>(), gate)
    };
    u.chunks(2 * width as usize).flat_map(row).collect()
}

fn gated_gelu(p: &GatedGelu, views: Views) {
    let [u, y] = views.array();
    let (u, width) = (u.read::<f32>(), p.width as usize);
    each_row(
        y.write::<f32>(),
        width,
        inlined!(|row, y| {
            let (input, gate) = u[2 * row * width..][..2 * width].split_at(width);
            with_math(inlined!(|math| {
                for ((y, input), gate) in y.iter_mut().zip(input).zip(gate) {
                    *y = math.gelu(*input) * gate;
                }
            }));
        }),
    );
}

kernel! {
    /// The gradient of `gated_gelu` with respect to u.
    pub static GATED_GELU_BACKWARD(GatedGeluBackwardArgs) = "gated_gelu_backward" (p: &GatedGelu);
    args {
        In u: real[2 * p.rows * p.width],
        In dy: real[p.rows * p.width],
        Out du: real[2 * p.rows * p.width],
    }
    constants {}
    variant "reference" = [
        "shared/index.wgsl", "shared/scalars.wgsl", "shared/gelu.wgsl", "shared/gelu_scalars.wgsl", "gated_gelu_backward.wgsl"
    ] {
        "main": fold((p.rows * p.width).div_ceil(256) as usize),
    }
    variant "quads" = [
        "shared/index.wgsl", "shared/quads.wgsl", "shared/gelu.wgsl", "shared/gelu_quads.wgsl", "gated_gelu_backward.wgsl"
    ] {
        fits: p.width.is_multiple_of(4),
        "main": fold((p.rows * p.width).div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 70 * u64::from(p.rows * p.width),
    tolerance: 2e-6,
    exact: false,
    cases: || SHAPES.map(gated_gelu_backward_case).into(),
    bench: |s| gated_gelu_backward_case((s.rows(), s.inner)),
    twin: gated_gelu_backward,
    gradient(u -> du; dy): times(dy, &gated(u, p.width)),
}

fn gated_gelu_backward(p: &GatedGelu, views: Views) {
    let [u, dy, du] = views.array();
    let (u, dy, width) = (u.read::<f32>(), dy.read::<f32>(), p.width as usize);
    each_row(
        du.write::<f32>(),
        2 * width,
        inlined!(|row, du| {
            let (input, gate) = u[2 * row * width..][..2 * width].split_at(width);
            let (d_input, d_gate) = du.split_at_mut(width);
            let dy = &dy[row * width..][..width];
            with_math(inlined!(|math| {
                for (((d, dy), input), gate) in d_input.iter_mut().zip(dy).zip(input).zip(gate) {
                    *d = dy * gate * math.gelu_gradient(*input);
                }
                for ((d, dy), input) in d_gate.iter_mut().zip(dy).zip(input) {
                    *d = dy * math.gelu(*input);
                }
            }));
        }),
    );
}

const ANY: Fill = Fill::Uniform(-6.0, 6.0);

const COUNTS: [u32; 5] = [1, 63, 256, 1025, 1028];

fn gelu_case(count: u32) -> Case {
    Case::new(Elements { count }, [ANY, Fill::Nothing])
}

fn gelu_backward_case(count: u32) -> Case {
    Case::new(Elements { count }, [ANY, ANY, Fill::Nothing])
}

const SHAPES: [(u32, u32); 4] = [(1, 1), (7, 65), (64, 48), (65, 68)];

fn gated_gelu_case((rows, width): (u32, u32)) -> Case {
    Case::new(GatedGelu { rows, width }, [ANY, Fill::Nothing])
}

fn gated_gelu_backward_case((rows, width): (u32, u32)) -> Case {
    Case::new(GatedGelu { rows, width }, [ANY, ANY, Fill::Nothing])
}
