//! Processes that train one model together. Each has its share of every batch; what they exchange lies between the gradients and
//! the update.
//!
//! A new exchange is its file here, and a line where a training is given one.

mod single;

pub use single::Single;

use crate::Result;

/// One of the processes that train together. Every method is called by all of them in the same order.
pub trait Collective: Send {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// What each process gives, in the order of ranks.
    ///
    /// # Errors
    /// Another process is gone.
    fn all_gather(&mut self, values: &[u32]) -> Result<Vec<Vec<u32>>>;

    /// Sums up what each process gives, in the order of ranks, so that all have the same bits.
    ///
    /// # Errors
    /// Another process is gone.
    fn all_reduce(&mut self, values: &mut [f32]) -> Result<()>;
}
