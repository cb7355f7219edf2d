//! Text → tokenizer → shards → masked batches.
//!
//! [`Corpus`] streams documents from files; [`Tokenizer`] turns them into ids; [`prepare`] writes those to a folder that
//! [`Prepared`] reads. [`Packing`] cuts documents into sequences, [`Masker`] hides tokens, and [`Loader`]
//! hands out [`Batch`]es.

mod batch;
mod corpus;
mod cut;
mod dataset;
mod divide;
mod documents;
mod encode;
mod inputs;
mod json_lines;
mod lines;
mod loader;
mod manifest;
mod masking;
mod notices;
mod order;
mod packing;
mod parts;
mod prepare;
mod scoring;
mod shard;
mod special;
mod spool;
mod staging;
mod texts;
mod tokenizer;
mod train_tokenizer;

pub use batch::{Batch, NONE};
pub use corpus::{Corpus, CorpusOptions, DocumentSplit, MAX_BAD_LINES, Report};
pub use dataset::{Prepared, Split, Tokens};
pub use documents::Documents;
pub use inputs::files;
pub use loader::{Loader, validation_batches};
pub use manifest::{FileEntry, Manifest, ShardEntry, SplitEntry};
pub use masking::{MaskedSequence, Masker, Masking};
pub use order::Permutation;
pub use packing::{Packing, Sequence};
pub use prepare::{PrepareOptions, Validation, prepare};
pub use scoring::Scoring;
pub use special::{SpecialNames, SpecialTokens};
pub use spool::spool;
pub(crate) use staging::Staging;
pub use texts::Texts;
pub use tokenizer::{Encoded, Tokenizer};
pub use train_tokenizer::TokenizerKind;
