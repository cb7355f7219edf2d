//! Text → tokenizer → shards → masked batches.
//!
//! [`Corpus`] streams documents from files; [`Tokenizer`] turns them into ids; [`prepare`] writes these to a folder that
//! [`Prepared`] reads. A task makes [`Examples`] of them, such as [`MaskedSequences`], which are packed by [`Packing`] and
//! masked by [`Masker`]. [`Loader`] collates them into [`Batch`]es.

mod added_tokens;
mod alphabet;
mod batch;
mod corpus;
mod cut;
mod dataset;
mod divide;
mod documents;
mod encode;
mod example;
mod growth;
mod inputs;
mod json_lines;
mod lines;
mod loader;
mod manifest;
mod maskable;
mod masking;
mod normalizers;
mod notices;
mod order;
mod packing;
mod parts;
mod prepare;
mod progress;
mod scoring;
mod shard;
mod special;
mod spool;
mod staging;
mod starts;
mod texts;
mod tokenizer;
mod tokenizer_config;
mod train_tokenizer;
mod unknown;
mod word_counts;
mod words;

pub use batch::{Batch, Classes, NONE, Orders};
pub use corpus::{Corpus, CorpusOptions, DocumentSplit, MAX_BAD_LINES, Report};
pub use dataset::{Prepared, Split, Tokens};
pub use documents::Documents;
pub use example::{Example, Examples, evenly_spread};
pub use inputs::files;
pub(crate) use inputs::is_there;
pub use loader::{Loader, Share, validation_batches};
pub use manifest::{FileEntry, Manifest, ShardEntry, SplitEntry};
pub use maskable::{check_maskable, warn_of_unknown};
pub use masking::{MaskedSequences, Masker, Masking, check_mask_rate};
pub use order::Permutation;
pub use packing::{Packing, Sequence};
pub use prepare::{PrepareOptions, Validation, prepare};
pub use progress::{Progress, show_progress};
pub use scoring::Scoring;
pub use special::{SpecialNames, SpecialTokens};
pub use spool::spool;
pub(crate) use staging::Staging;
pub(crate) use starts::{Place, Starts};
pub use texts::Texts;
pub use tokenizer::{Encoded, Tokenizer};
pub(crate) use tokenizer_config::TokenizerConfig;
pub use train_tokenizer::{TokenizerKind, TokenizerOptions};
pub use unknown::UnknownTokens;
