//! Trains a tokenizer's vocabulary on documents.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, ModelWrapper};

use super::alphabet::{Alphabet, Characters};
use super::normalizers::normalizer;
use super::tokenizer::{Tokenizer, guarded};
use super::unknown::UnknownTokens;
use super::word_counts::count_words;
use crate::{Error, Result};

/// How words are split into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// BERT's: words and their `##` continuations.
    WordPiece,
    /// GPT-2's, RoBERTa's and ModernBERT's: merges of bytes; it can spell any text.
    Bpe,
    /// SentencePiece's: the most likely pieces.
    Unigram,
}

/// What kind of tokenizer is trained, and how its text is normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizerOptions {
    pub kind: TokenizerKind,
    /// Largest size of the vocabulary, special tokens included.
    pub vocab_size: usize,
    /// Whether text is lower-cased.
    pub lowercase: bool,
    /// Whether Latin, Greek and Cyrillic letters lose their accents.
    pub strip_accents: bool,
    /// The most frequent characters get tokens until they make up this share of the text, above 0 and at most 1. Bpe has them
    /// all.
    pub character_coverage: f64,
}

/// A word, or a part of a text without spaces, and the number of times that it occurs.
type Counted = (String, u64);

/// Special tokens of a new tokenizer; the ids are 0 to 4.
const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", MASK];
const UNKNOWN: &str = "[UNK]";
const MASK: &str = "[MASK]";
/// The first character of a piece that begins a word in a Unigram vocabulary.
const WORD_BEGIN: char = '▁';
const CONTINUATION: &str = "##";

impl TokenizerKind {
    /// The smallest size of a vocabulary. The bytes alone are 256.
    pub fn smallest_vocabulary(self) -> usize {
        if self == TokenizerKind::Bpe { 256 + SPECIALS.len() } else { 64 }
    }
}

impl TokenizerOptions {
    /// Options with tokens for all characters. Accents are stripped as in BERT's uncased models: by lower-case WordPiece.
    pub fn new(kind: TokenizerKind, vocab_size: usize, lowercase: bool) -> Self {
        let strip_accents = lowercase && kind == TokenizerKind::WordPiece;
        TokenizerOptions { kind, vocab_size, lowercase, strip_accents, character_coverage: 1.0 }
    }

    fn check(&self) -> Result<()> {
        let (size, fewest, most) = (self.vocab_size, self.kind.smallest_vocabulary(), 1 << 24);
        if !(fewest..=most).contains(&size) {
            return Err(Error::config("vocab_size", format!("{size} is not within {fewest} to {most}")));
        }
        let coverage = self.character_coverage;
        if !(coverage > 0.0 && coverage <= 1.0) {
            return Err(Error::config("character_coverage", format!("{coverage} is not above 0 and at most 1")));
        }
        if coverage < 1.0 && self.kind == TokenizerKind::Bpe {
            return Err(Error::config("character_coverage", "bpe spells every character by its bytes; leave it out"));
        }
        Ok(())
    }
}

impl Tokenizer {
    /// Trains a tokenizer. WordPiece and Bpe vocabularies are a pure function of the documents; a Unigram vocabulary can
    /// differ slightly from run to run, since the library sums in random order.
    ///
    /// Logs what the vocabulary leaves out of the text, and whether the corpus is so small that it gives fewer tokens than
    /// asked for.
    ///
    /// # Errors
    /// The first error of `documents`; impossible options; a vocabulary too small for the characters of a Unigram
    /// tokenizer; no documents.
    pub fn train(options: &TokenizerOptions, documents: impl Iterator<Item = Result<String>> + Send) -> Result<Self> {
        options.check()?;
        let mut documents = documents.peekable();
        if documents.peek().is_none() {
            return Err(Error::config("documents", "there are none to learn a vocabulary from"));
        }
        let unusable = |problem| Error::config("vocab_size", format!("training failed: {problem}"));
        let splitter = guarded(|| splitter(options)).map_err(unusable)?;
        let words = count_words(&splitter, documents)?;
        let alphabet = alphabet(options, &words)?;
        let json = guarded(|| {
            let words = words.clone();
            let model: ModelWrapper = match options.kind {
                TokenizerKind::WordPiece => wordpiece(options.vocab_size, &alphabet, words)?.into(),
                TokenizerKind::Bpe => bpe(options.vocab_size, words)?.into(),
                TokenizerKind::Unigram => unigram(options.vocab_size, &alphabet, words)?.into(),
            };
            finish(splitter, model)?.to_string(true)
        });
        let tokenizer = Tokenizer::from_bytes(json.map_err(unusable)?.into_bytes(), "the new tokenizer")?;
        if tokenizer.vocab_size() < options.vocab_size {
            log::warn!("the documents give only {} of {} tokens", tokenizer.vocab_size(), options.vocab_size);
        }
        let unknown = UnknownTokens::of_words(&tokenizer, &words)?;
        if let Some(warning) = unknown.warning("the text that the tokenizer was learnt from") {
            log::warn!("{warning}");
        }
        Ok(tokenizer)
    }
}

/// A tokenizer that splits a text into words, and has no vocabulary yet.
fn splitter(options: &TokenizerOptions) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_normalizer(normalizer(options)?)?;
    match options.kind {
        TokenizerKind::WordPiece => {
            tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
            tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
        }
        TokenizerKind::Bpe => {
            tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            tokenizer.with_decoder(Some(ByteLevel::default()));
        }
        TokenizerKind::Unigram => {
            // Only a text's first word begins without a space: what follows a special token directly begins no word.
            let metaspace = Metaspace::new(WORD_BEGIN, PrependScheme::First, true);
            tokenizer.with_pre_tokenizer(Some(metaspace.clone()));
            tokenizer.with_decoder(Some(metaspace));
        }
    }
    Ok(tokenizer)
}

/// The characters that get tokens. Logs what is left out.
fn alphabet(options: &TokenizerOptions, words: &[Counted]) -> Result<Alphabet> {
    let TokenizerOptions { kind, vocab_size, character_coverage, .. } = *options;
    let room = match kind {
        TokenizerKind::WordPiece => vocab_size - SPECIALS.len(),
        // The library needs a piece beyond the characters.
        TokenizerKind::Unigram => vocab_size - SPECIALS.len() - 1,
        TokenizerKind::Bpe => usize::MAX,
    };
    let is_wordpiece = kind == TokenizerKind::WordPiece;
    let price = |continues| if is_wordpiece && continues { 2 } else { 1 };
    let alphabet = Characters::of(words).choose(character_coverage, room, price);
    let is_full = alphabet.wanted > room;
    let fewest = vocab_size - room.min(vocab_size) + alphabet.wanted;
    if kind == TokenizerKind::Unigram && is_full {
        let fitting = (1e4 * alphabet.covered).floor() / 1e4;
        let problem = format!(
            "{vocab_size} is too small for the characters of this text: unigram needs at least {fewest} tokens, and more \
             for words; or leave out rare characters, with a character_coverage of at most {fitting}"
        );
        return Err(Error::config("vocab_size", problem));
    }
    if kind == TokenizerKind::Bpe {
        return Ok(alphabet);
    }
    if alphabet.dropped.is_empty() {
        log::info!("the vocabulary has all {} characters of the text", alphabet.kept.len());
    } else {
        let why =
            if is_full { format!("a vocab_size of {fewest} has room") } else { "as character_coverage asks".into() };
        log::warn!("{} have no token and become {UNKNOWN}; {why}", alphabet.left_out());
    }
    if alphabet.tokens > vocab_size / 2 {
        log::warn!(
            "single characters take {} of {vocab_size} tokens, which leaves few for words; raise vocab_size, or lower \
             character_coverage",
            alphabet.tokens
        );
    }
    Ok(alphabet)
}

fn wordpiece(vocab_size: usize, alphabet: &Alphabet, mut words: Vec<Counted>) -> tokenizers::Result<WordPiece> {
    // A word with a character that has no token is unknown as a whole, so training ignores it.
    words.retain(|(word, _)| alphabet.spells(word));
    // Left to itself the trainer numbers the `##x` tokens in the order of a hash table. Listing them first, as if they
    // were special, makes the vocabulary reproducible.
    let continuations = alphabet.kept.iter().filter(|(_, continues)| **continues);
    let continuations = continuations.map(|(c, _)| AddedToken::from(format!("{CONTINUATION}{c}"), true));
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(specials().into_iter().chain(continuations).collect())
        .initial_alphabet(alphabet.kept.keys().copied().collect::<HashSet<char>>())
        .continuing_subword_prefix(CONTINUATION.into())
        .build();
    let mut model = BPE::default();
    trainer.do_train(&words.into_iter().map(|(word, count)| (word.into(), count)).collect(), &mut model)?;
    let mut model = WordPiece::from_bpe(&model);
    model.unk_token = UNKNOWN.into();
    Ok(model)
}

fn bpe(vocab_size: usize, words: Vec<Counted>) -> tokenizers::Result<BPE> {
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(specials())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut model = BPE::default();
    trainer.do_train(&words.into_iter().map(|(word, count)| (word.into(), count)).collect(), &mut model)?;
    Ok(model)
}

fn unigram(vocab_size: usize, alphabet: &Alphabet, words: Vec<Counted>) -> tokenizers::Result<Unigram> {
    let trainer = UnigramTrainer::builder()
        .vocab_size(vocab_size as u32)
        .show_progress(false)
        .special_tokens(specials())
        .unk_token(Some(UNKNOWN.into()))
        .build()?;
    // Characters that have no token separate the pieces on both sides.
    let parts = |(word, count): Counted| -> Vec<(String, u32)> {
        let count = count.try_into().unwrap_or(u32::MAX);
        let parts = word.split(|c| !alphabet.kept.contains_key(&c)).filter(|part| !part.is_empty());
        parts.map(|part| (part.to_string(), count)).collect()
    };
    let mut model = Unigram::default();
    trainer.do_train(words.into_iter().flat_map(parts).collect(), &mut model)?;
    Ok(model)
}

/// Adds what every kind has: the model, special tokens, and `[CLS] text [SEP]` around a text.
fn finish(mut tokenizer: tokenizers::Tokenizer, model: ModelWrapper) -> tokenizers::Result<tokenizers::Tokenizer> {
    tokenizer.with_model(model);
    tokenizer.add_special_tokens(specials())?;
    let id = |name: &str| tokenizer.token_to_id(name).ok_or_else(|| format!("the vocabulary has no {name}"));
    let template = TemplateProcessing::builder()
        .try_single("[CLS]:0 $A:0 [SEP]:0")?
        .try_pair("[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")?
        .special_tokens(vec![("[CLS]", id("[CLS]")?), ("[SEP]", id("[SEP]")?)])
        .build()?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}

fn specials() -> Vec<AddedToken> {
    // The mask takes the space before it, like the word that it stands for.
    SPECIALS.into_iter().map(|name| AddedToken::from(name, true).lstrip(name == MASK)).collect()
}
