//! Turns text into token ids and back, with a Hugging Face `tokenizer.json`.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use tokenizers::{Model, ModelWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::cut::pieces;
use super::growth;
use super::special::{SpecialNames, SpecialTokens};
use super::tokenizer_config::TokenizerConfig;
use super::words::unspaced_starts;
use crate::{Error, Result, files};

/// Token ids of a text, without special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<u32>,
    /// Whether a word begins at the token; as long as `ids`.
    pub word_starts: Vec<bool>,
}

/// A tokenizer for a masked language model: it has all five special tokens and neither truncates nor pads.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Treats the names of special tokens in a text as plain text.
    literal: tokenizers::Tokenizer,
    specials: SpecialTokens,
    names: SpecialNames,
    /// For each id: is it a special token, and does it begin a word by its spelling (`Ġthe`, `▁the`)?
    is_special: Vec<bool>,
    begins_word: Vec<bool>,
    json: Vec<u8>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` and, if they are there, the files beside it that transformers applies.
    ///
    /// # Errors
    /// The file can't be read, is no tokenizer, or lacks a special token; a file beside it asks for something that is not
    /// supported.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let json = files::read(path)?;
        let json = TokenizerConfig::beside(path)?.complete(json, path)?;
        Self::from_bytes_with(json, SpecialNames::beside(path)?, path)
    }

    /// Takes the content of a `tokenizer.json` whose special tokens have their usual names; `origin` names it in errors.
    ///
    /// # Errors
    /// `json` is no tokenizer, or lacks a special token.
    pub fn from_bytes(json: Vec<u8>, origin: impl AsRef<Path>) -> Result<Self> {
        Self::from_bytes_with(json, SpecialNames::default(), origin)
    }

    /// As `from_bytes`, for a tokenizer that has these names for its special tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::from_bytes`].
    pub fn from_bytes_with(json: Vec<u8>, names: SpecialNames, origin: impl AsRef<Path>) -> Result<Self> {
        let fail = |problem: String| Error::file(&origin, format!("not a usable tokenizer: {problem}"));
        growth::check(&json).map_err(fail)?;
        let inner = guarded(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(&json)?;
            inner.with_truncation(None)?.with_padding(None);
            Ok(inner)
        });
        let inner = inner.map_err(fail)?;
        let resolve = |names: &SpecialNames| SpecialTokens::resolve(names, |name| inner.token_to_id(name));
        let specials = resolve(&names).map_err(fail)?;
        let usual = SpecialNames::default();
        let names = if resolve(&usual).as_ref() == Ok(&specials) { usual } else { names };

        let vocabulary = inner.get_vocab(true);
        let largest = vocabulary.values().copied().max().unwrap_or(0) as usize;
        // An embedding has a row for each id up to the largest, so a stray large id would cost gigabytes.
        if largest > 2 * vocabulary.len() + 65_536 {
            return Err(fail(format!("it has {} tokens but the id {largest}", vocabulary.len())));
        }
        let (mut is_special, mut begins_word) = (vec![false; largest + 1], vec![false; largest + 1]);
        for (token, id) in &vocabulary {
            begins_word[*id as usize] = token.starts_with(['Ġ', '▁']);
        }
        let added = inner.get_added_tokens_decoder();
        let added_specials = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id);
        for id in specials.ids().into_iter().chain(added_specials) {
            is_special[id as usize] = true;
        }

        let mut literal = inner.clone();
        literal.set_encode_special_tokens(true);
        Ok(Tokenizer { inner, literal, specials, names, is_special, begins_word, json })
    }

    /// Writes the `tokenizer.json`, whole or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        files::replace(path.as_ref(), &self.json)
    }

    /// The content of the `tokenizer.json`, as it was loaded.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    pub fn specials(&self) -> SpecialTokens {
        self.specials
    }

    /// The names of special tokens that it was made with; empty if they are the usual ones.
    pub fn special_names(&self) -> &SpecialNames {
        &self.names
    }

    /// Whether `id` is one of the five special tokens or another token the tokenizer declares special.
    pub fn is_special(&self, id: u32) -> bool {
        self.is_special.get(id as usize).copied().unwrap_or(false)
    }

    /// The largest id + 1, added tokens included: the rows an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.is_special.len()
    }

    /// The spelling of a token.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token by its spelling.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Ids of a text in which names such as `[MASK]` stand for the special tokens. `add_specials` puts the text between
    /// the tokenizer's own `[CLS]` and `[SEP]`.
    ///
    /// # Errors
    /// The tokenizer fails on this text.
    pub fn encode(&self, text: &str, add_specials: bool) -> Result<Vec<u32>> {
        let encoding = guarded(|| self.inner.encode_fast(text, add_specials)).map_err(failed)?;
        // The tokens that a tokenizer puts around a text need not be in its vocabulary.
        match encoding.get_ids().iter().find(|&&id| id as usize >= self.vocab_size()) {
            Some(id) => Err(failed(format!("it gives the id {id}, which its vocabulary does not have"))),
            None => Ok(encoding.get_ids().to_vec()),
        }
    }

    /// The first `most` ids of a text of any length, in which names such as `[MASK]` stand for the special tokens, and
    /// whether there are more. Special tokens are not added.
    ///
    /// # Errors
    /// The tokenizer fails on this text.
    pub fn encode_start(&self, text: &str, most: usize) -> Result<(Vec<u32>, bool)> {
        let mut ids = Vec::new();
        for piece in pieces(text) {
            ids.extend(self.encode(piece, false)?);
            if ids.len() > most {
                ids.truncate(most);
                return Ok((ids, true));
            }
        }
        Ok((ids, false))
    }

    /// Ids and word starts of a text of any length, in which names such as `[MASK]` are plain text. Special tokens are not
    /// added.
    ///
    /// # Errors
    /// The tokenizer fails on this text.
    pub fn encode_with_word_starts(&self, text: &str) -> Result<Encoded> {
        let mut encoded = Encoded::default();
        for piece in pieces(text) {
            self.encode_piece(piece, &mut encoded)?;
        }
        Ok(encoded)
    }

    /// Appends the tokens of one piece of a text (see `cut::pieces`).
    pub(super) fn encode_piece(&self, piece: &str, encoded: &mut Encoded) -> Result<()> {
        let starts = unspaced_starts(piece);
        if !starts.is_empty() {
            return self.encode_unspaced(piece, &starts, encoded);
        }
        self.each_token(piece, |_, index, token| {
            encoded.ids.push(token.id);
            encoded.word_starts.push(index == 0 || self.begins_word(token.id));
        })
    }

    /// As `encode_piece`, for text in which no spaces separate words; `starts` are the bytes where words begin. What the
    /// tokenizer takes for one word is divided there, if a token begins at that byte.
    fn encode_unspaced(&self, piece: &str, starts: &[usize], encoded: &mut Encoded) -> Result<()> {
        let encoding = guarded(|| self.tokenize(piece)?.into_encoding(None, 0, OffsetType::Byte)).map_err(failed)?;
        let (mut last_word, mut last_end) = (None, 0);
        let tokens = encoding.get_ids().iter().zip(encoding.get_word_ids()).zip(encoding.get_offsets());
        for ((&id, &word), &(start, end)) in tokens {
            // If several tokens spell one character, only the first of them can begin a word.
            let cut = start >= last_end && starts.binary_search(&start).is_ok();
            encoded.ids.push(id);
            encoded.word_starts.push(word != last_word || self.begins_word(id) || cut);
            (last_word, last_end) = (word, end.max(last_end));
        }
        Ok(())
    }

    /// Whether a token begins a word by its spelling.
    fn begins_word(&self, id: u32) -> bool {
        self.begins_word.get(id as usize).copied().unwrap_or(false)
    }

    /// Calls `see` with each part of a text that became an unknown token.
    pub(super) fn each_unknown(&self, text: &str, mut see: impl FnMut(&str)) -> Result<()> {
        for piece in pieces(text) {
            self.each_token(piece, |word, _, token| {
                if token.id == self.specials.unk {
                    see(word.get(token.offsets.0..token.offsets.1).unwrap_or(word));
                }
            })?;
        }
        Ok(())
    }

    /// Calls `see` with each token of a piece, its word as the model gets it, and its place in that word.
    fn each_token(&self, piece: &str, mut see: impl FnMut(&str, usize, &tokenizers::Token)) -> Result<()> {
        guarded(|| {
            let words = self.tokenize(piece)?;
            for (word, _, tokens) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
                for (index, token) in tokens.iter().flatten().enumerate() {
                    see(word, index, token);
                }
            }
            Ok(())
        })
        .map_err(failed)
    }

    /// A piece as words with their tokens. `tokenizers::Tokenizer::encode_fast` takes the same steps, but does not return the
    /// words.
    fn tokenize(&self, piece: &str) -> tokenizers::Result<PreTokenizedString> {
        let tokenizer = &self.literal;
        let mut words = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), piece);
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut words)?;
        }
        words.tokenize(|word| tokenizer.get_model().tokenize(word.get()))?;
        Ok(words)
    }

    /// The tokens of a word as the model gets it, which means that it has been normalized and split off.
    pub(super) fn spell(&self, word: &str) -> Result<Vec<tokenizers::Token>> {
        guarded(|| self.inner.get_model().tokenize(word)).map_err(failed)
    }

    /// The most characters that the model splits into tokens, if it has such a limit. Longer words are unknown.
    pub(super) fn longest_word(&self) -> Option<usize> {
        match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => Some(model.max_input_chars_per_word),
            _ => None,
        }
    }

    /// Whether the vocabulary has a character by itself, as the first of a word or as a later one.
    pub(super) fn has_character(&self, c: char, first: bool) -> bool {
        let token = match self.inner.get_model() {
            ModelWrapper::WordPiece(model) if !first => format!("{}{c}", model.continuing_subword_prefix),
            _ => c.to_string(),
        };
        self.id(&token).is_some()
    }

    /// The text of `ids`, with or without its special tokens.
    ///
    /// # Errors
    /// The tokenizer fails on these ids.
    pub fn decode(&self, ids: &[u32], skip_specials: bool) -> Result<String> {
        guarded(|| self.inner.decode(ids, skip_specials)).map_err(failed)
    }
}

pub(super) fn failed(problem: String) -> Error {
    Error::config("tokenizer", format!("it failed on this text: {problem}"))
}

/// Runs a call into the tokenizers library, where some malformed tokenizers panic; says what went wrong.
pub(super) fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    quiet_panics();
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    match result {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            Err(message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("an inner error").to_string())
        }
    }
}

thread_local! {
    /// Whether a panic of this thread becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps a panic that becomes an error from also being printed.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                print(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guarded::<()>(|| panic!("bad {}", "merge")).unwrap_err(), "bad merge");
        assert_eq!(guarded::<()>(|| panic!("bad")).unwrap_err(), "bad");
        assert_eq!(guarded::<()>(|| Err("refused".into())).unwrap_err(), "refused");
    }
}
