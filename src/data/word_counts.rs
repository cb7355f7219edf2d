//! How often each word occurs in documents. Training a vocabulary needs nothing else of them.

use std::collections::HashMap;

use rayon::prelude::*;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizer};

use super::cut::pieces;
use super::tokenizer::{failed, guarded};
use crate::Result;

type Counts = HashMap<String, u64>;

/// The words that `tokenizer` splits the documents into, each with its count, sorted.
///
/// # Errors
/// The first error of `documents`; the tokenizer fails on a text.
pub(super) fn count_words(
    tokenizer: &tokenizers::Tokenizer,
    documents: impl Iterator<Item = Result<String>> + Send,
) -> Result<Vec<(String, u64)>> {
    let counts = (documents.par_bridge())
        .try_fold(Counts::new, |mut counts, document| {
            for piece in pieces(&document?) {
                guarded(|| count_piece(tokenizer, piece, &mut counts)).map_err(failed)?;
            }
            Ok(counts)
        })
        .try_reduce(Counts::new, |one, other| Ok(merged(one, other)))?;
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.par_sort_unstable();
    Ok(counts)
}

fn count_piece(tokenizer: &tokenizers::Tokenizer, piece: &str, counts: &mut Counts) -> tokenizers::Result<()> {
    let normalizer = tokenizer.get_normalizer();
    let mut words = tokenizer.get_added_vocabulary().extract_and_normalize(normalizer, piece);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut words)?;
    }
    for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(counts.insert(word.to_string(), 1)),
        }
    }
    Ok(())
}

fn merged(one: Counts, other: Counts) -> Counts {
    let (mut large, small) = if one.len() < other.len() { (other, one) } else { (one, other) };
    for (word, count) in small {
        *large.entry(word).or_default() += count;
    }
    large
}
