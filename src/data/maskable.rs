//! Checks whether a model can learn from tokenised text. Special tokens, including the unknown token, are never masked.

use super::cut::pieces;
use super::tokenizer::Tokenizer;
use super::unknown::UnknownTokens;
use crate::{Error, Remedy, Result};

/// Number of unknown tokens that are examined for the cause.
const SAMPLED: u64 = 64;

/// Refuses a text in which nothing can be masked, and warns in the log if a text has many unknown tokens. `counts` says how
/// often each id occurs, and `name` is what messages call the text. `documents` opens the text, to find the cause of many
/// unknown tokens.
///
/// # Errors
/// Every token is special; `documents` gives an error.
pub fn check_maskable<D: IntoIterator<Item = Result<String>>>(
    tokenizer: &Tokenizer,
    counts: &[u64],
    name: &str,
    documents: impl FnOnce() -> Result<D>,
) -> Result<()> {
    match warning(tokenizer, counts, name, documents)? {
        Some(warning) if !any_maskable(tokenizer, counts) => {
            Err(Error::config(name, format!("nothing in it can be masked: {warning}")).with(Remedy::OtherTokenizer))
        }
        None if !any_maskable(tokenizer, counts) => {
            Err(Error::config(name, "nothing in it can be masked: it has special tokens alone; give other text"))
        }
        warning => {
            warning.iter().for_each(|warning| log::warn!("{warning}"));
            Ok(())
        }
    }
}

/// Warns in the log if a text has many unknown tokens, as [`check_maskable`] does, but accepts a text of nothing else.
///
/// # Errors
/// `documents` gives an error.
pub fn warn_of_unknown<D: IntoIterator<Item = Result<String>>>(
    tokenizer: &Tokenizer,
    counts: &[u64],
    name: &str,
    documents: impl FnOnce() -> Result<D>,
) -> Result<()> {
    warning(tokenizer, counts, name, documents)?.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(())
}

fn any_maskable(tokenizer: &Tokenizer, counts: &[u64]) -> bool {
    let specials = tokenizer.specials();
    (0..).zip(counts).any(|(id, &count)| count > 0 && !specials.contains(id))
}

fn warning<D: IntoIterator<Item = Result<String>>>(
    tokenizer: &Tokenizer,
    counts: &[u64],
    name: &str,
    documents: impl FnOnce() -> Result<D>,
) -> Result<Option<String>> {
    let (tokens, unknown) = (counts.iter().sum(), counts[tokenizer.specials().unk as usize]);
    if UnknownTokens::of_counts(tokens, unknown).warning(name).is_none() {
        return Ok(None);
    }
    let mut seen = sample(tokenizer, documents()?)?;
    (seen.tokens, seen.unknown) = (tokens, unknown);
    Ok(seen.warning(name))
}

/// The first unknown tokens of a text.
fn sample(tokenizer: &Tokenizer, documents: impl IntoIterator<Item = Result<String>>) -> Result<UnknownTokens> {
    let mut seen = UnknownTokens::default();
    for document in documents {
        for piece in pieces(&document?) {
            seen.count(tokenizer, piece, &tokenizer.encode_with_word_starts(piece)?.ids)?;
            if seen.unknown >= SAMPLED {
                return Ok(seen);
            }
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{TokenizerKind, TokenizerOptions};

    fn check(text: &str) -> Result<()> {
        let english = ["a plain line of words", "another line of plain words"].map(|line| Ok(line.to_string()));
        let options = TokenizerOptions::new(TokenizerKind::WordPiece, 200, true);
        let tokenizer = Tokenizer::train(&options, english.into_iter()).unwrap();
        let mut counts = vec![0; tokenizer.vocab_size()];
        tokenizer.encode(text, false).unwrap().iter().for_each(|id| counts[*id as usize] += 1);
        check_maskable(&tokenizer, &counts, "the text", || Ok([Ok(text.to_string())]))
    }

    #[test]
    fn one_token_that_can_be_masked_is_enough() {
        check("a plain line").unwrap();
        check(&format!("{} a", "ж ".repeat(100))).unwrap();
    }

    #[test]
    fn unknown_tokens_alone_are_refused_with_the_cause() {
        let message = check(&"line".repeat(30)).unwrap_err().to_string();
        assert!(message.starts_with("the text: nothing in it can be masked: 100.0 %"), "{message}");
        assert!(message.contains("more than 100 characters"), "{message}");
        assert!(check("ж ю").unwrap_err().to_string().contains("lacks characters such as ж ю"));
    }
}
