//! Microbatches for training, which a thread prepares ahead, and for validation.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::batch::Batch;
use super::example::{Example, Examples, evenly_spread};
use super::order::Permutation;
use crate::{Error, Result};

/// Number of microbatches that are prepared ahead.
const AHEAD: usize = 4;

/// An endless stream of microbatches. Each epoch runs through all sequences in a new order and with new masks. The stream is
/// a pure function of the seed, so it can begin anywhere.
pub struct Loader {
    /// Taken on drop, which ends the thread.
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// A stream of microbatches of `batch` sequences, without the `first` microbatches.
    ///
    /// # Errors
    /// There are no sequences, or `batch` is 0.
    pub fn new(examples: Arc<dyn Examples>, batch: usize, seed: u64, first: u64) -> Result<Self> {
        Self::of_share(examples, batch, seed, first, Share { rank: 0, size: 1, microbatches: 1 })
    }

    /// As `new`, but only the share of one of several processes; `first` counts the microbatches of all of them.
    ///
    /// # Errors
    /// As `new`.
    pub fn of_share(examples: Arc<dyn Examples>, batch: usize, seed: u64, first: u64, share: Share) -> Result<Self> {
        check(&*examples, batch)?;
        let (sender, batches) = sync_channel(AHEAD);
        let work = move || {
            for taken in 0.. {
                let batch = training_batch(&*examples, batch, seed, first + share.number(taken));
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("loader".into()).spawn(work);
        let thread = thread.map_err(|error| Error::config("loader", format!("no thread for it: {error}")))?;
        Ok(Loader { batches: Some(batches), thread: Some(thread) })
    }

    /// The next microbatch.
    ///
    /// # Errors
    /// The documents can't be read any more; the thread that prepares batches panicked, which its own message explains.
    #[expect(clippy::should_implement_trait, reason = "an endless stream with errors is no iterator")]
    pub fn next(&mut self) -> Result<Batch> {
        let batch = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        batch.ok_or_else(|| Error::config("loader", "the thread that prepares batches died: see its message above"))?
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been reported by `next`.
            let _ = thread.join();
        }
    }
}

/// The share of the stream that one of several processes takes.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The number of the process.
    pub rank: usize,
    /// The number of processes.
    pub size: usize,
    /// Microbatches per step that each process takes.
    pub microbatches: usize,
}

impl Share {
    /// The number, among the microbatches of all processes, of the one that this process takes after `taken` others. In a
    /// step, the microbatches of a rank are consecutive, so a step has the same sequences in the same order however many
    /// processes there are.
    fn number(self, taken: u64) -> u64 {
        let [rank, size, own] = [self.rank, self.size, self.microbatches].map(|count| count as u64);
        taken / own * size * own + rank * own + taken % own
    }
}

/// Microbatch `number` of the training stream.
fn training_batch(examples: &dyn Examples, batch: usize, seed: u64, number: u64) -> Result<Batch> {
    let epoch_length = examples.len() as u64;
    let example = |place: u64| {
        let epoch = place / epoch_length;
        let index = Permutation::new(seed, epoch, epoch_length).at(place % epoch_length);
        examples.example(index as usize, seed, epoch * epoch_length + index)
    };
    let first = number * batch as u64;
    let list: Vec<Example> = (first..first + batch as u64).map(example).collect::<Result<_>>()?;
    Ok(Batch::for_training(&list, examples.selected_per_sequence()))
}

/// Microbatches for validation. For a given `seed` they have the same sequences, order and masks every time. With `limit`,
/// that many sequences are used, spread evenly over the data. The last microbatch is padded.
///
/// # Errors
/// There are no sequences, or `batch` is 0. A microbatch is an error if its documents can't be read.
pub fn validation_batches(
    examples: &dyn Examples,
    batch: usize,
    seed: u64,
    limit: Option<usize>,
) -> Result<impl ExactSizeIterator<Item = Result<Batch>>> {
    check(examples, batch)?;
    let indices: Vec<usize> = evenly_spread(examples.len(), limit).collect();
    Ok((0..indices.len().div_ceil(batch)).map(move |number| {
        let example = |place: usize| match indices.get(place) {
            Some(&index) => examples.example(index, seed, index as u64),
            None => Ok(Example::padding(examples.pad(), examples.sequence_length())),
        };
        let list: Vec<Example> = (number * batch..(number + 1) * batch).map(example).collect::<Result<_>>()?;
        Ok(Batch::new(&list, examples.selected_per_sequence()))
    }))
}

fn check(examples: &dyn Examples, batch: usize) -> Result<()> {
    if examples.is_empty() {
        return Err(Error::config("data", "there are no tokens to make sequences of"));
    }
    // Rows are counted in 32 bits.
    if batch == 0 || batch.saturating_mul(examples.sequence_length()) > 1 << 31 {
        return Err(Error::config("micro_batch", format!("{batch} sequences are none, or too many")));
    }
    Ok(())
}
