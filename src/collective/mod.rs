//! Processes that train one model together. Each takes its share of every batch; they exchange data between the gradients and
//! the update.
//!
//! To add an exchange, write its file here, and use it where training gets its collective.

mod single;

pub use single::Single;

use crate::Result;

/// One of the processes that train together. All of them call every method in the same order.
pub trait Collective: Send {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// The values of each process, in the order of ranks.
    ///
    /// # Errors
    /// Another process is gone.
    fn all_gather(&mut self, values: &[u32]) -> Result<Vec<Vec<u32>>>;

    /// Sums the values of all processes in the order of ranks, so that all get the same bits.
    ///
    /// # Errors
    /// Another process is gone.
    fn all_reduce(&mut self, values: &mut [f32]) -> Result<()>;
}
