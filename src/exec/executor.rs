//! What the host asks of a device that runs a program.

use super::plan::Memory;
use super::profile::Profile;
use super::program::{Phase, Tensor};
use crate::Result;
use std::ops::Range;
use std::time::Duration;

/// Replays the phases of a program. If the device runs on its own, `run` and `request` only queue work; `read` and
/// `collect(true)` wait for it.
pub trait Executor: Send {
    /// Replaces the content of an input, or of any tensor that keeps its content. It applies to phases that run later.
    fn write(&mut self, tensor: Tensor, words: &[u32]);

    /// Like `write`, for the words from number `start` on; the others stay.
    fn write_part(&mut self, tensor: Tensor, start: usize, words: &[u32]);

    /// Like `write`, with words that repeat until the tensor is full.
    fn write_over_and_over(&mut self, tensor: Tensor, words: &[u32]);

    /// Runs a phase. Errors when the device was lost or reported an error.
    fn run(&mut self, phase: Phase) -> Result<()>;

    /// The content of a tensor that keeps its content, after everything queued so far.
    fn read(&mut self, tensor: Tensor) -> Result<Vec<u32>>;

    /// Like `read`, for a range of its words.
    fn read_part(&mut self, tensor: Tensor, range: Range<usize>) -> Result<Vec<u32>>;

    /// Asks for the content of tensors after everything queued so far; `collect` returns it later.
    fn request(&mut self, tensors: &[Tensor]) -> Result<()>;

    /// The oldest request's content, if it has arrived or `wait` is set. `None` if nothing was requested or nothing has
    /// arrived.
    fn collect(&mut self, wait: bool) -> Result<Option<Vec<Vec<u32>>>>;

    /// The memory plan.
    fn memory(&self) -> Memory;

    /// How long the host has waited for the device so far; on the CPU, how long it computed.
    fn waited(&self) -> Duration;

    /// From now on records when every kernel starts and ends, which slows a GPU down. Errors if a GPU has no timestamps.
    fn start_profile(&mut self) -> Result<()>;

    /// What was recorded; waits for the device. Empty unless a profile was started.
    fn finish_profile(&mut self) -> Result<Profile>;

    /// Bytes in use by the device's own count, if it has one. On a GPU that is what its allocator has given out; on the CPU it
    /// is the most that the process has grown by since the executor was made.
    fn measured_memory(&self) -> Option<u64>;
}
