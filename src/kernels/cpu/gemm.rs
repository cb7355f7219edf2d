//! The matrix product of the CPU twins, computed by the `gemm` crate, and what makes it fast at a model's shapes.

use super::parallel::{chunk_pairs, rows_a_block};
use super::scratch::with_scratch;
use super::simd::{inlined, simd};
use rayon::prelude::*;

/// A matrix inside a slice: rows and columns with their strides in elements.
#[derive(Clone, Copy)]
pub struct Matrix<S> {
    pub data: S,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<S> Matrix<S> {
    /// Row-major, without gaps.
    pub fn new(data: S, rows: usize, cols: usize) -> Self {
        Matrix { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    pub fn transposed(self) -> Self {
        Matrix {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Elements from the first to the last, gaps included.
    fn extent(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

impl Matrix<&[f32]> {
    /// The rows `first..first + count`.
    pub fn rows(self, first: usize, count: usize) -> Self {
        Matrix { data: &self.data[first * self.row_stride..], rows: count, ..self }
    }
}

/// Whether a product may use several cores.
#[derive(Clone, Copy, PartialEq)]
pub enum Cores {
    One,
    All,
}

/// out = a·b, or out += a·b.
pub fn product(out: Matrix<&mut [f32]>, add: bool, a: Matrix<&[f32]>, b: Matrix<&[f32]>, cores: Cores) {
    assert!(a.rows == out.rows && b.cols == out.cols && a.cols == b.rows, "shapes of a product disagree");
    assert!(out.extent() <= out.data.len() && a.extent() <= a.data.len() && b.extent() <= b.data.len());
    let parallelism = match cores {
        Cores::One => gemm::Parallelism::None,
        Cores::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the three matrices lie within their slices (asserted above), `out` is borrowed mutably so overlaps
    // neither input, and f32 has no invalid bits.
    unsafe {
        gemm::gemm(
            out.rows,
            out.cols,
            a.cols,
            out.data.as_mut_ptr(),
            out.col_stride as isize,
            out.row_stride as isize,
            add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Rows of a block: a product computes them, and `finish` then finds them in cache.
pub const BLOCK_ROWS: usize = 256;
/// With at least this many rows, work that is done once per product or per block no longer matters.
const MANY_ROWS: usize = 4 * BLOCK_ROWS;

/// out [m, n] = a·b, then `finish(first_row, rows of out, the same rows of also)` for each block while it is in cache. `also`
/// is as long as `out`, or empty.
pub fn product_rows(
    out: &mut [f32],
    also: &mut [f32],
    a: Matrix<&[f32]>,
    b: Matrix<&[f32]>,
    finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let (m, n) = (a.rows, b.cols);
    let many = m >= MANY_ROWS;
    let rows = if many { BLOCK_ROWS } else { rows_a_block(n) };
    if !many {
        product(Matrix::new(&mut *out, m, n), false, a, b, Cores::All);
    }
    chunk_pairs(out, also, rows * n, |number, out, also| {
        let first = number * rows;
        if many {
            let height = out.len() / n;
            product(Matrix::new(&mut *out, height, n), false, a.rows(first, height), b, Cores::One);
        }
        simd(inlined!(|| finish(first, out, also)));
    });
}

/// The transpose of a weight [outputs, inputs] as the second factor of a product of `rows` rows. With enough rows it is laid
/// out first, since products read rows faster than columns.
pub fn with_transposed<R>(
    weight: &[f32],
    [outputs, inputs]: [usize; 2],
    rows: usize,
    body: impl FnOnce(Matrix<&[f32]>) -> R,
) -> R {
    if rows < MANY_ROWS {
        return body(Matrix::new(weight, outputs, inputs).transposed());
    }
    with_scratch(outputs * inputs, |turned| {
        transpose(weight, outputs, inputs, turned);
        body(Matrix::new(turned, inputs, outputs))
    })
}

/// Turns a row-major matrix [rows, cols] into its transpose [cols, rows].
fn transpose(from: &[f32], rows: usize, cols: usize, to: &mut [f32]) {
    const TILE: usize = 16;
    to.par_chunks_mut(TILE * rows).enumerate().for_each(|(band, to)| {
        simd(inlined!(|| {
            let first = band * TILE;
            let width = TILE.min(cols - first);
            for row in (0..rows).step_by(TILE) {
                let height = TILE.min(rows - row);
                let mut tile = [[0.0; TILE]; TILE];
                for (i, line) in tile.iter_mut().take(height).enumerate() {
                    line[..width].copy_from_slice(&from[(row + i) * cols + first..][..width]);
                }
                for j in 0..width {
                    let to = &mut to[j * rows + row..][..height];
                    to.iter_mut().zip(&tile).for_each(|(to, line)| *to = line[j]);
                }
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i * 7 % 23) as f32 - 11.0).collect()
    }

    /// Around a tile's edges.
    #[test]
    fn a_transpose_moves_every_element() {
        for [rows, cols] in [[1, 1], [15, 33], [16, 16], [40, 17]] {
            let (from, mut to) = (numbers(rows * cols), vec![f32::NAN; rows * cols]);
            transpose(&from, rows, cols, &mut to);
            for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                assert_eq!(to[col * rows + row], from[row * cols + col], "{rows} by {cols} at {row}, {col}");
            }
        }
    }

    /// Few rows, and many whose last block is cut short. The numbers are integers, so sums are exact in any order.
    #[test]
    fn rows_are_finished_once() {
        for m in [1, MANY_ROWS - 1, MANY_ROWS + 3] {
            let (n, k) = (5, 7);
            let (a, weight) = (numbers(m * k), numbers(n * k));
            let (mut out, mut also) = (vec![f32::NAN; m * n], vec![f32::NAN; m * n]);
            with_transposed(&weight, [n, k], m, |b| {
                product_rows(&mut out, &mut also, Matrix::new(&a, m, k), b, |first, out, also| {
                    for (i, (out, also)) in out.iter_mut().zip(also).enumerate() {
                        (*also, *out) = (*out, *out + (first * n + i) as f32);
                    }
                });
            });
            for i in 0..m * n {
                let (a, b) = (&a[i / n * k..][..k], &weight[i % n * k..][..k]);
                let want: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert_eq!((also[i], out[i]), (want, want + i as f32), "{m} rows, at {i}");
            }
        }
    }
}
