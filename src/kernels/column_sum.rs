//! The gradient of a bias: the sum of each column.

use super::kernel::{Case, Fill, Views, kernel, params};
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
    pub static COLUMN_SUM = "column_sum" (p: &ColumnSum);
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
    let [x, _, sums] = views.array();
    let x = x.read::<f32>();
    const STRIP: usize = 64;
    sums.write::<f32>().par_chunks_mut(STRIP).enumerate().for_each(|(strip, sums)| {
        simd(|| {
            for row in x.chunks_exact(p.width as usize) {
                for (sum, x) in sums.iter_mut().zip(&row[strip * STRIP..]) {
                    *sum += x;
                }
            }
        })
    });
}

fn case((rows, width): (u32, u32)) -> Case {
    let fills = [Fill::Uniform(-4.0, 4.0), Fill::Nothing, Fill::Uniform(-4.0, 4.0)];
    Case::new(ColumnSum { rows, width }, fills)
}
