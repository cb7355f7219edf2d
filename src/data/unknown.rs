//! How much of a text a tokenizer cannot spell, why, and the warning about it.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::alphabet::name;
use super::tokenizer::Tokenizer;
use crate::Result;

/// A larger share of unknown tokens is worth a warning: text like that which the vocabulary was trained on has almost none.
const NOTABLE_SHARE: f64 = 0.03;
/// Number of unknown words that are examined for a cause, and of characters that a message names.
const WORDS_EXAMINED: usize = 64;
const CHARACTERS_NAMED: usize = 8;

/// Tokens of a text, and how many of them stand for what the vocabulary cannot spell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownTokens {
    /// All tokens.
    pub tokens: u64,
    /// Those of them that are the unknown token.
    pub unknown: u64,
    examined: usize,
    /// Number of examined words that have more characters than the tokenizer takes.
    too_long: usize,
    /// The most characters that it takes, where it has a limit.
    limit: usize,
    /// Some of the characters that the vocabulary lacks.
    missing: BTreeSet<char>,
}

impl UnknownTokens {
    /// From tokens that were counted elsewhere, without their text.
    pub fn of_counts(tokens: u64, unknown: u64) -> Self {
        UnknownTokens { tokens, unknown, ..Default::default() }
    }

    /// Counts `ids`, which the tokenizer gave for `text`, and examines the first unknown words for the cause.
    ///
    /// # Errors
    /// The tokenizer fails on this text.
    pub fn count(&mut self, tokenizer: &Tokenizer, text: &str, ids: &[u32]) -> Result<()> {
        let unk = tokenizer.specials().unk;
        let unknown = ids.iter().filter(|id| **id == unk).count();
        self.tokens += ids.len() as u64;
        self.unknown += unknown as u64;
        if unknown > 0 && self.examined < WORDS_EXAMINED {
            tokenizer.each_unknown(text, |word| self.examine(tokenizer, word))?;
        }
        Ok(())
    }

    /// Counts words as a tokenizer's model gets them, given the number of times that each occurs.
    pub(super) fn of_words(tokenizer: &Tokenizer, words: &[(String, u64)]) -> Result<Self> {
        let unk = tokenizer.specials().unk;
        let count = |(word, _): &(String, u64)| {
            let tokens = tokenizer.spell(word)?;
            Ok((tokens.len() as u64, tokens.iter().filter(|token| token.id == unk).count() as u64))
        };
        let counts = words.par_iter().map(count).collect::<Result<Vec<_>>>()?;
        let mut sum = UnknownTokens::default();
        for ((word, times), (tokens, unknown)) in words.iter().zip(counts) {
            sum.tokens += times * tokens;
            sum.unknown += times * unknown;
            if unknown > 0 && sum.examined < WORDS_EXAMINED {
                for token in tokenizer.spell(word)?.iter().filter(|token| token.id == unk) {
                    sum.examine(tokenizer, word.get(token.offsets.0..token.offsets.1).unwrap_or(word));
                }
            }
        }
        Ok(sum)
    }

    fn examine(&mut self, tokenizer: &Tokenizer, word: &str) {
        if self.examined == WORDS_EXAMINED {
            return;
        }
        self.examined += 1;
        match tokenizer.longest_word() {
            Some(limit) if word.chars().count() > limit => {
                self.too_long += 1;
                self.limit = limit;
            }
            _ => {
                let lacking = word.char_indices().filter(|&(at, c)| !tokenizer.has_character(c, at == 0));
                let room = CHARACTERS_NAMED - self.missing.len();
                self.missing.extend(lacking.map(|(_, c)| c).take(room));
            }
        }
    }

    /// The counts of two texts together.
    pub fn plus(mut self, other: UnknownTokens) -> Self {
        self.tokens += other.tokens;
        self.unknown += other.unknown;
        self.examined += other.examined;
        self.too_long += other.too_long;
        self.limit = self.limit.max(other.limit);
        let room = CHARACTERS_NAMED.saturating_sub(self.missing.len());
        self.missing.extend(other.missing.into_iter().take(room));
        self
    }

    /// The part of the tokens that is unknown; 0 of no tokens.
    pub fn share(&self) -> f64 {
        self.unknown as f64 / self.tokens.max(1) as f64
    }

    /// A sentence with the share and its likely cause, if the share is more than a few per cent. `text` says what was read,
    /// such as "the training text".
    pub fn warning(&self, text: &str) -> Option<String> {
        (self.share() > NOTABLE_SHARE).then(|| {
            let percent = 100.0 * self.share();
            let cause = self.cause();
            format!("{percent:.1} % of the tokens of {text} are unknown, and a model learns nothing from them: {cause}")
        })
    }

    fn cause(&self) -> String {
        if 2 * self.too_long > self.examined {
            return format!(
                "most stand for words of more than {} characters, as in a script without spaces, which this tokenizer \
                 does not take apart; learn one of the kind unigram or bpe",
                self.limit
            );
        }
        let remedy = "learn one from text like this, with room for all its characters (vocab_size, character_coverage)";
        if self.missing.is_empty() {
            return format!("the vocabulary was probably learnt from other text; {remedy}");
        }
        let named: Vec<String> = self.missing.iter().map(|c| name(*c)).collect();
        format!("the vocabulary lacks characters such as {}; {remedy}", named.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{TokenizerKind, TokenizerOptions};

    /// What a WordPiece tokenizer of English makes of a text.
    fn counted(text: &str) -> UnknownTokens {
        let english = ["a plain line of words", "another line of plain words"].map(|line| Ok(line.to_string()));
        let options = TokenizerOptions::new(TokenizerKind::WordPiece, 200, true);
        let tokenizer = Tokenizer::train(&options, english.into_iter()).unwrap();
        let mut counts = UnknownTokens::default();
        counts.count(&tokenizer, text, &tokenizer.encode(text, false).unwrap()).unwrap();
        counts
    }

    #[test]
    fn a_few_are_no_matter() {
        assert_eq!(counted("a plain line").warning("the text"), None);
        assert_eq!(UnknownTokens::default().warning("the text"), None);
        assert_eq!(UnknownTokens::of_counts(100, 3).warning("the text"), None);
    }

    #[test]
    fn the_cause_is_named() {
        let warning = counted("a plain ж line").warning("the text").unwrap();
        assert!(warning.starts_with("25.0 % of the tokens of the text are unknown"), "{warning}");
        assert!(warning.contains("lacks characters such as ж;"), "{warning}");
        let warning = counted(&"line".repeat(30)).warning("the text").unwrap();
        assert!(warning.starts_with("100.0 %") && warning.contains("more than 100 characters"), "{warning}");
        let warning = UnknownTokens::of_counts(100, 5).warning("the text").unwrap();
        assert!(warning.starts_with("5.0 %") && warning.contains("other text"), "{warning}");
    }

    #[test]
    fn two_texts_together() {
        let both = counted("a plain ж line").plus(counted("a plain ю line"));
        assert_eq!((both.tokens, both.unknown), (8, 2));
        assert!(both.warning("both").unwrap().contains("ж ю"));
    }
}
