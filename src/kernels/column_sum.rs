//! The gradient of a bias: the sum of each column.

use super::kernel::{Case, Fill, Views, kernel, params};
use super::lanes::add;
use super::native::simd;
use rayon::prelude::*;

params! {
    pub struct ColumnSum {
        rows: u32,
        width: u32,
    }
}

/// Rows that one workgroup adds up before the sums of all workgroups are added.
const ROWS_A_GROUP: u32 = 64;

kernel! {
    /// sums += Σ x over the rows.
    pub static COLUMN_SUM(ColumnSumArgs) = "column_sum" (p: &ColumnSum);
    args {
        In x: real[p.rows * p.width],
        Scratch partial: f32[p.rows.div_ceil(ROWS_A_GROUP) * p.width],
        InOut sums: f32[p.width],
    }
    constants {
        ROWS_A_GROUP = ROWS_A_GROUP,
    }
    variant "reference" = ["shared/index.wgsl", "column_sum.wgsl"] {
        "partial_sums": fold((p.rows.div_ceil(ROWS_A_GROUP) * p.width.div_ceil(64)) as usize),
        "total": fold(p.width.div_ceil(64) as usize),
    }
    flops: p.rows * p.width,
    tolerance: 1e-5,
    exact: true,
    cases: || [(1, 1), (63, 65), (64, 64), (257, 130)].map(case).into(),
    bench: |s| case((s.rows(), s.inner)),
    twin: column_sum,
}

fn column_sum(p: &ColumnSum, views: Views) {
    let [x, partial, sums] = views.array();
    let (x, partial, sums) = (x.read::<f32>(), partial.write::<f32>(), sums.write::<f32>());
    let (width, rows) = (p.width as usize, ROWS_A_GROUP as usize);
    partial.par_chunks_exact_mut(width).enumerate().for_each(|(group, partial)| {
        simd(
            #[inline(always)]
            || {
                partial.fill(0.0);
                x[group * rows * width..].chunks_exact(width).take(rows).for_each(|row| add(partial, row));
            },
        );
    });
    simd(
        #[inline(always)]
        || partial.chunks_exact(width).for_each(|partial| add(sums, partial)),
    );
}

fn case((rows, width): (u32, u32)) -> Case {
    let fills = [Fill::Uniform(-4.0, 4.0), Fill::Nothing, Fill::Uniform(-4.0, 4.0)];
    Case::new(ColumnSum { rows, width }, fills)
}
