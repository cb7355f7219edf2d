//! Gather of the masked rows, and its gradient.

use super::cpu::parallel::each_row;
use super::cpu::simd::inlined;
use super::kernel::{Case, Fill, Views, kernel, params};
use super::mathematics::times;

params! {
    pub struct Rows {
        /// Rows of the whole, B·T.
        rows: u32,
        /// Rows picked.
        picked: u32,
        width: u32,
    }
}

kernel! {
    /// `y[i] = x[picks[i]]`.
    pub static GATHER_ROWS(GatherRowsArgs) = "gather_rows" (p: &Rows);
    args {
        In x: real[p.rows * p.width] touched p.picked * p.width,
        In picks: u32[p.picked],
        Out y: real[p.picked * p.width],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/scalars.wgsl", "gather_rows.wgsl"] {
        "main": fold((p.picked * p.width).div_ceil(256) as usize),
    }
    variant "quads" = ["shared/index.wgsl", "shared/quads.wgsl", "gather_rows.wgsl"] {
        fits: p.width.is_multiple_of(4),
        "main": fold((p.picked * p.width).div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 0,
    tolerance: 0.0,
    exact: true,
    cases: || SHAPES.map(gather_case).into(),
    bench: |s| gather_case([s.rows(), s.masked, s.width]),
    twin: gather_rows,
    formula(x, picks) -> [y]: [picks.words.iter().flat_map(|&row| row_of(x, row, p.width)).copied().collect()],
}

fn row_of(x: &[f64], row: u32, width: u32) -> &[f64] {
    &x[(row * width) as usize..][..width as usize]
}

fn gather_rows(p: &Rows, views: Views) {
    let [x, picks, y] = views.array();
    let (x, picks, width) = (x.read::<f32>(), picks.read::<u32>(), p.width as usize);
    each_row(y.write::<f32>(), width, inlined!(|row, y| y.copy_from_slice(&x[picks[row] as usize * width..][..width])));
}

kernel! {
    /// `dx[r] = dy[slots[r]]`, zero where the slot is u32::MAX. `slots` is the inverse of the picks: each row is written
    /// once, so nothing has to be cleared or added.
    pub static SCATTER_ROWS(ScatterRowsArgs) = "scatter_rows" (p: &Rows);
    args {
        In dy: real[p.picked * p.width],
        In slots: u32[p.rows],
        Out dx: real[p.rows * p.width],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/scalars.wgsl", "scatter_rows.wgsl"] {
        "main": fold((p.rows * p.width).div_ceil(256) as usize),
    }
    variant "quads" = ["shared/index.wgsl", "shared/quads.wgsl", "scatter_rows.wgsl"] {
        fits: p.width.is_multiple_of(4),
        "main": fold((p.rows * p.width).div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 0,
    tolerance: 0.0,
    exact: true,
    cases: || SHAPES.map(scatter_case).into(),
    bench: |s| scatter_case([s.rows(), s.masked, s.width]),
    twin: scatter_rows,
    gradient(x -> dx; dy, slots): {
        let picked = (0..).zip(&slots.words).filter(|(_, slot)| **slot != u32::MAX);
        picked.flat_map(|(row, &slot)| times(row_of(dy, slot, p.width), row_of(x, row, p.width))).collect()
    },
}

fn scatter_rows(p: &Rows, views: Views) {
    let [dy, slots, dx] = views.array();
    let (dy, slots, width) = (dy.read::<f32>(), slots.read::<u32>(), p.width as usize);
    each_row(
        dx.write::<f32>(),
        width,
        inlined!(|row, dx| match slots[row] {
            u32::MAX => dx.fill(0.0),
            slot => dx.copy_from_slice(&dy[slot as usize * width..][..width]),
        }),
    );
}

const SHAPES: [[u32; 3]; 4] = [[1, 1, 1], [65, 9, 33], [128, 128, 64], [65, 63, 36]];
const ANY: Fill = Fill::Uniform(-4.0, 4.0);

fn gather_case([rows, picked, width]: [u32; 3]) -> Case {
    Case::new(Rows { rows, picked, width }, [ANY, Fill::Ids { below: rows }, Fill::Nothing])
}

fn scatter_case([rows, picked, width]: [u32; 3]) -> Case {
    let mut slots = vec![u32::MAX; rows as usize];
    (0..picked).for_each(|slot| slots[(slot * 7 % rows) as usize] = slot);
    Case::new(Rows { rows, picked, width }, [ANY, Fill::Words(slots), Fill::Nothing])
}
