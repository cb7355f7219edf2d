//! Tokenised text that is needed only once. It is kept on the disk, so that a text of any size takes little memory.

use std::sync::atomic::AtomicBool;

use super::corpus::{Corpus, Report};
use super::dataset::Tokens;
use super::encode::encode;
use super::shard::{Shard, ShardBuilder, token_width};
use super::tokenizer::Tokenizer;
use crate::Result;

/// Tokens gathered in memory before they go to the disk.
const TOKENS: u64 = 2 << 20;

/// Tokenises a corpus into unnamed temporary files, which are gone when the process ends, however it ends.
///
/// # Errors
/// The corpus or the tokenizer fails; the folder for temporary files has no room; `stop` became true.
pub fn spool(tokenizer: &Tokenizer, corpus: Corpus, stop: &AtomicBool) -> Result<(Tokens, Report)> {
    let mut builder = ShardBuilder::new(token_width(tokenizer.vocab_size()));
    let mut shards = Vec::new();
    let report = encode(tokenizer, corpus, stop, |document| {
        builder.push(&document);
        if builder.tokens() >= TOKENS {
            shards.push(Shard::temporary(&mut builder)?);
        }
        Ok(())
    })?;
    if builder.documents() > 0 {
        shards.push(Shard::temporary(&mut builder)?);
    }
    Ok((Tokens::new(shards), report))
}
