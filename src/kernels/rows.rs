//! Gather of the rows that a task wants, and its gradient.

use super::cpu::parallel::each_row;
use super::cpu::simd::inlined;
use super::kernel::{Case, Fill, Views, kernel, params};
use super::mathematics::times;

params! {
    pub struct Rows {
        /// Rows of the source, B·T.
        rows: u32,
        /// Rows selected.
        selected: u32,
        width: u32,
    }
}

kernel! {
    /// `y[i] = x[selected[i]]`.
    pub static GATHER_ROWS(GatherRowsArgs) = "gather_rows" (p: &Rows);
    args {
        In x: real[p.rows * p.width] touched p.selected * p.width,
        In selected: u32[p.selected],
        Out y: real[p.selected * p.width],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/scalars.wgsl", "gather_rows.wgsl"] {
        "main": fold((p.selected * p.width).div_ceil(256) as usize),
    }
    variant "quads" = ["shared/index.wgsl", "shared/quads.wgsl", "gather_rows.wgsl"] {
        fits: p.width.is_multiple_of(4),
        "main": fold((p.selected * p.width).div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 0,
    tolerance: 0.0,
    exact: true,
    cases: || SHAPES.map(gather_case).into(),
    bench: |s| gather_case([s.rows(), s.masked, s.width]),
    twin: gather_rows,
    formula(x, selected) -> [y]: [selected.words.iter().flat_map(|&row| row_of(x, row, p.width)).copied().collect()],
}

fn row_of(x: &[f64], row: u32, width: u32) -> &[f64] {
    &x[(row * width) as usize..][..width as usize]
}

fn gather_rows(p: &Rows, views: Views) {
    let [x, selected, y] = views.array();
    let (x, selected, width) = (x.read::<f32>(), selected.read::<u32>(), p.width as usize);
    each_row(
        y.write::<f32>(),
        width,
        inlined!(|row, y| y.copy_from_slice(&x[selected[row] as usize * width..][..width])),
    );
}

kernel! {
    /// `dx[r] = dy[inverse[r]]`, or zero where that is u32::MAX. `inverse` inverts the selection, so that each row is written
    /// once and nothing has to be cleared or added.
    pub static SCATTER_ROWS(ScatterRowsArgs) = "scatter_rows" (p: &Rows);
    args {
        In dy: real[p.selected * p.width],
        In inverse: u32[p.rows],
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
    gradient(x -> dx; dy, inverse): {
        let selected = (0..).zip(&inverse.words).filter(|(_, place)| **place != u32::MAX);
        selected.flat_map(|(row, &place)| times(row_of(dy, place, p.width), row_of(x, row, p.width))).collect()
    },
}

fn scatter_rows(p: &Rows, views: Views) {
    let [dy, inverse, dx] = views.array();
    let (dy, inverse, width) = (dy.read::<f32>(), inverse.read::<u32>(), p.width as usize);
    each_row(
        dx.write::<f32>(),
        width,
        inlined!(|row, dx| match inverse[row] {
            u32::MAX => dx.fill(0.0),
            place => dx.copy_from_slice(&dy[place as usize * width..][..width]),
        }),
    );
}

const SHAPES: [[u32; 3]; 4] = [[1, 1, 1], [65, 9, 33], [128, 128, 64], [65, 63, 36]];
const ANY: Fill = Fill::Uniform(-4.0, 4.0);

fn gather_case([rows, selected, width]: [u32; 3]) -> Case {
    Case::new(Rows { rows, selected, width }, [ANY, Fill::Ids { below: rows }, Fill::Nothing])
}

fn scatter_case([rows, selected, width]: [u32; 3]) -> Case {
    let mut inverse = vec![u32::MAX; rows as usize];
    (0..selected).for_each(|place| inverse[(place * 7 % rows) as usize] = place);
    Case::new(Rows { rows, selected, width }, [ANY, Fill::Words(inverse), Fill::Nothing])
}
