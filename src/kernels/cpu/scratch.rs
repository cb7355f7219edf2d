//! Working memory of twins, kept from step to step.

use std::cell::RefCell;

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
