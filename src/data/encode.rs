//! Tokenises a corpus on all cores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rayon::prelude::*;

use super::corpus::{Corpus, Report};
use super::cut::pieces;
use super::tokenizer::{Encoded, Tokenizer};
use crate::{Error, Result};

/// Bytes of text that are tokenised at once: enough pieces for every core.
const BATCH_BYTES: usize = 4 << 20;

/// Tokenises a corpus in parallel while another thread reads ahead; `sink` gets the documents in order.
///
/// # Errors
/// The corpus, the tokenizer or `sink` fails; `stop` became true.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    corpus: Corpus,
    stop: &AtomicBool,
    mut sink: impl FnMut(Encoded) -> Result<()>,
) -> Result<Report> {
    let corpus = &mut corpus.with_progress("tokenising");
    // The reader prepares the next batch while this one is tokenised, and no more than that.
    let (sender, batches) = sync_channel(0);
    thread::scope(|scope| {
        let read = move || {
            read_batches(corpus, sender);
            corpus.report()
        };
        let reader = thread::Builder::new().name("reader".into()).spawn_scoped(scope, read);
        let reader = reader.map_err(|error| Error::config("tokenising", format!("no thread to read with: {error}")))?;
        let mut without_tokens = 0;
        for batch in batches {
            for document in encode_batch(tokenizer, &batch?)? {
                // A text of control characters alone has no tokens.
                match document.ids.is_empty() {
                    true => without_tokens += 1,
                    false => sink(document)?,
                }
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Error::config("tokenising", "stopped; nothing was written"));
            }
        }
        let mut report = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        report.documents -= without_tokens;
        report.empty += without_tokens;
        Ok(report)
    })
}

/// Sends batches of documents until the corpus ends or fails, or the receiver is gone.
fn read_batches(corpus: &mut Corpus, sender: SyncSender<Result<Vec<String>>>) {
    loop {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            match corpus.next() {
                Some(Ok(document)) => {
                    bytes += document.len();
                    batch.push(document);
                }
                Some(Err(error)) => {
                    // A receiver that is gone has its own error to report.
                    let _ = sender.send(Err(error));
                    return;
                }
                None => break,
            }
        }
        if batch.is_empty() || sender.send(Ok(batch)).is_err() {
            return;
        }
    }
}

fn encode_batch(tokenizer: &Tokenizer, documents: &[String]) -> Result<Vec<Encoded>> {
    let units: Vec<(usize, &str)> = (documents.iter().enumerate())
        .flat_map(|(document, text)| pieces(text).map(move |piece| (document, piece)))
        .collect();
    let encode = |&(document, piece): &(usize, &str)| {
        let mut encoded = Encoded::default();
        tokenizer.encode_piece(piece, &mut encoded)?;
        Ok((document, encoded))
    };
    let mut whole = vec![Encoded::default(); documents.len()];
    // A quarter at a time, so that a long document's tokens are not in memory twice.
    for units in units.chunks(units.len().div_ceil(4).max(1)) {
        let encoded: Vec<(usize, Encoded)> = units.par_iter().map(encode).collect::<Result<_>>()?;
        for (document, piece) in encoded {
            whole[document].ids.extend(piece.ids);
            whole[document].word_starts.extend(piece.word_starts);
        }
    }
    Ok(whole)
}
