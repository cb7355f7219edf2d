//! Working memory of twins, which is kept from step to step.

use std::cell::RefCell;

/// Lends `len` elements of working memory with arbitrary content. The memory belongs to the thread and is kept for the next
/// call, so that a step allocates nothing after the first one.
pub fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        /// A stack, since this thread may run another task while it waits, and that task may want working memory too.
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
