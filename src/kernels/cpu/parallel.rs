//! Splits work over the cores. It is cut at fixed places, never by the number of threads, so that sums have one order.

use super::scratch::with_scratch;
use super::simd::{inlined, simd};
use rayon::prelude::*;
use std::ops::Range;

/// Elements per task: enough to outweigh the cost of handing it over.
pub const GRAIN: usize = 16 * 1024;

/// Rows of a block of about `GRAIN` elements.
pub fn rows_a_block(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

/// Calls `body(number, row)` on every row of `out`, in parallel.
pub fn each_row<T: Send>(out: &mut [T], width: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    row_blocks(
        out,
        width,
        inlined!(|first, block| {
            for (number, row) in (first..).zip(block.chunks_exact_mut(width)) {
                body(number, row);
            }
        }),
    );
}

/// Like `each_row`, with one element of `results` for each row.
pub fn each_row_with<R: Send>(
    out: &mut [f32],
    width: usize,
    results: &mut [R],
    body: impl Fn(usize, &mut [f32], &mut R) + Sync,
) {
    let rows = rows_a_block(width);
    let blocks = out.par_chunks_mut(rows * width).zip(results.par_chunks_mut(rows)).enumerate();
    blocks.for_each(|(block, (out, results))| {
        simd(inlined!(|| {
            for (number, (row, result)) in (block * rows..).zip(out.chunks_exact_mut(width).zip(results)) {
                body(number, row, result);
            }
        }))
    });
}

/// Calls `body(first_row, rows)` on blocks of whole rows of `out`, in parallel.
fn row_blocks<T: Send>(out: &mut [T], width: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let rows = rows_a_block(width);
    out.par_chunks_mut(rows * width.max(1))
        .enumerate()
        .for_each(|(block, chunk)| simd(inlined!(|| body(block * rows, chunk))));
}

/// Like `row_blocks`, with the same rows of `also`, which is as long as `out` or empty.
pub fn row_block_pairs(
    out: &mut [f32],
    also: &mut [f32],
    width: usize,
    body: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let rows = rows_a_block(width);
    chunk_pairs(out, also, rows * width.max(1), |block, out, also| simd(inlined!(|| body(block * rows, out, also))));
}

/// Calls `body(number, chunk of out, chunk of also)` on chunks of `len`, in parallel. `also` is as long as `out`, or empty.
pub fn chunk_pairs(out: &mut [f32], also: &mut [f32], len: usize, body: impl Fn(usize, &mut [f32], &mut [f32]) + Sync) {
    let chunks = out.par_chunks_mut(len).enumerate();
    match also.is_empty() {
        true => chunks.for_each(|(number, out)| body(number, out, &mut [])),
        false => chunks.zip(also.par_chunks_mut(len)).for_each(|((number, out), also)| body(number, out, also)),
    }
}

/// Calls `body(first, block)` on blocks of `out`, in parallel.
pub fn blocks<T: Send>(out: &mut [T], body: impl Fn(usize, &mut [T]) + Sync) {
    row_blocks(out, 1, body);
}

/// Sums over `rows` rows in one fixed order. `add(rows, sums)` runs in parallel and adds a group of rows to `width` sums that
/// start at zero; `total(sums)` then gets the sums of each group, one after another.
pub fn sum_groups(
    rows: usize,
    width: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
    mut total: impl FnMut(&[f32]),
) {
    const GROUP: usize = 64;
    with_scratch(rows.div_ceil(GROUP) * width, |partial| {
        partial.par_chunks_exact_mut(width).enumerate().for_each(|(group, sums)| {
            simd(inlined!(|| {
                sums.fill(0.0);
                add(group * GROUP..rows.min((group + 1) * GROUP), sums);
            }))
        });
        simd(inlined!(|| {
            for sums in partial.chunks_exact(width) {
                total(sums);
            }
        }));
    });
}

/// Sets words to zero, in parallel.
pub fn clear(words: &mut [u32]) {
    words.par_chunks_mut(GRAIN).for_each(|words| words.fill(0));
}
