//! What the CPU twins share: vector dispatch, rows in parallel, and the matrix product.
//!
//! Work is split at fixed places, never by the number of threads, so sums have one order.

use rayon::prelude::*;
use std::sync::LazyLock;

static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// Runs `body` compiled for the best vector instructions of this machine. Loops in it vectorise; closures handed on to
/// other threads do not inherit it, so call this inside them.
#[inline(always)]
pub fn simd<R>(body: impl FnOnce() -> R) -> R {
    ARCH.dispatch(body)
}

/// As `simd`, of an operation that is written in vectors.
pub fn dispatch<Op: pulp::WithSimd>(operation: Op) -> Op::Output {
    ARCH.dispatch(operation)
}

/// The level of vector instructions in use, such as "v3" (AVX2 and FMA) on x86-64.
pub fn isa() -> String {
    let name = format!("{:?}", *ARCH).to_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_string()
}

/// Elements that one task handles: enough to outweigh handing it over.
const GRAIN: usize = 16 * 1024;

/// Calls `body(first_row, rows)` on blocks of whole rows of `out`, in parallel.
pub fn row_blocks<T: Send>(out: &mut [T], width: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let rows = (GRAIN / width.max(1)).max(1);
    out.par_chunks_mut(rows * width.max(1)).enumerate().for_each(|(block, chunk)| simd(|| body(block * rows, chunk)));
}

/// Calls `body(first, block)` on blocks of `out`, in parallel.
pub fn blocks<T: Send>(out: &mut [T], body: impl Fn(usize, &mut [T]) + Sync) {
    row_blocks(out, 1, body);
}

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

/// Whether a product may use the other cores.
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
