//! What the host asks of a device that runs a program.

use super::plan::Memory;
use super::profile::Profile;
use super::program::{Phase, Tensor};
use crate::Result;
use std::ops::Range;
use std::time::Duration;

/// Replays the phases of a program. `run` and `request` only queue work on a device that works on its own; `read` and
/// `collect(true)` wait for it.
pub trait Executor: Send {
    /// Replaces the content of an input, or of any tensor that keeps its content. Takes effect for the phases run after.
    fn write(&mut self, tensor: Tensor, words: &[u32]);

    /// As `write`, of the words from number `start` on; the others stay.
    fn write_part(&mut self, tensor: Tensor, start: usize, words: &[u32]);

    /// As `write`, of words that repeat themselves until the tensor is full.
    fn write_over_and_over(&mut self, tensor: Tensor, words: &[u32]);

    /// Runs a phase. Errors when the device was lost or reported an error.
    fn run(&mut self, phase: Phase) -> Result<()>;

    /// The content of a tensor that keeps its content, after everything queued so far.
    fn read(&mut self, tensor: Tensor) -> Result<Vec<u32>>;

    /// As `read`, of a range of its words.
    fn read_part(&mut self, tensor: Tensor, range: Range<usize>) -> Result<Vec<u32>>;

    /// Asks for the content of tensors as it is after everything queued so far; `collect` gives it later.
    fn request(&mut self, tensors: &[Tensor]) -> Result<()>;

    /// The oldest request's content, when it is there or `wait` is set; `None` when nothing is outstanding or ready.
    fn collect(&mut self, wait: bool) -> Result<Option<Vec<Vec<u32>>>>;

    /// The memory plan.
    fn memory(&self) -> Memory;

    /// How long the host has waited for the device so far; on the CPU, how long it computed.
    fn waited(&self) -> Duration;

    /// Notes from now on when every kernel starts and ends, which slows a GPU down. Errors where a GPU has no timestamps.
    fn start_profile(&mut self) -> Result<()>;

    /// What was noted; waits for the device. Empty unless a profile was started.
    fn finish_profile(&mut self) -> Result<Profile>;

    /// Bytes in use as the device itself counts them, where it does: on a GPU what its allocator has given out by now; on the
    /// CPU the most that the process has grown by since the executor was made.
    fn measured_memory(&self) -> Option<u64>;
}
