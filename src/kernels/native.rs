//! What the CPU twins share: vector dispatch, rows in parallel, working memory.
//!
//! Work is split at fixed places, never by the number of threads, so sums have one order.

use rayon::prelude::*;
use std::cell::RefCell;
use std::sync::LazyLock;

static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// Runs `body` compiled for the best vector instructions of this machine. Loops in it vectorise; closures handed on to
/// other threads do not inherit it, so call this inside them; a closure that is not `#[inline(always)]` may be compiled
/// on its own, for the oldest machine, and only be called from here.
#[inline(always)]
pub fn simd<R>(body: impl FnOnce() -> R) -> R {
    ARCH.dispatch(body)
}

/// As `simd`, of an operation that goes by the instructions.
#[inline(always)]
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

/// Rows of a block of about `GRAIN` elements.
pub fn rows_a_block(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

/// Calls `body(first_row, rows)` on blocks of whole rows of `out`, in parallel.
pub fn row_blocks<T: Send>(out: &mut [T], width: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let rows = rows_a_block(width);
    out.par_chunks_mut(rows * width.max(1)).enumerate().for_each(|(block, chunk)| {
        simd(
            #[inline(always)]
            || body(block * rows, chunk),
        )
    });
}

/// As `row_blocks`, with the same rows of `also`, which is as long as `out` or empty.
pub fn row_block_pairs(
    out: &mut [f32],
    also: &mut [f32],
    width: usize,
    body: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let rows = rows_a_block(width);
    chunk_pairs(out, also, rows * width.max(1), |block, out, also| {
        simd(
            #[inline(always)]
            || body(block * rows, out, also),
        )
    });
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

/// Sets words to zero, in parallel.
pub fn clear(words: &mut [u32]) {
    words.par_chunks_mut(GRAIN).for_each(|words| words.fill(0));
}

/// Lends `len` elements of working memory, which hold anything. It belongs to the thread and is kept for the next time,
/// so that a step allocates nothing once it ran.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        /// A stack, since a task that this thread takes over while it waits for others may want some of its own.
        static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    }
    let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    let result = body(&mut scratch[..len]);
    SCRATCH.with_borrow_mut(|stack| stack.push(scratch));
    result
}
