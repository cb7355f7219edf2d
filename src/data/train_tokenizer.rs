//! Learns the vocabulary of a tokenizer from documents.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{BertNormalizer, Lowercase, NFKC, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizer, Trainer};

use super::cut::pieces;
use super::tokenizer::{Tokenizer, guarded};
use crate::{Error, Result};

/// How words are split into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// BERT's: words and their `##` continuations.
    #[value(name = "wordpiece")]
    WordPiece,
    /// GPT-2's, RoBERTa's and ModernBERT's: merges of bytes; it can spell any text.
    Bpe,
    /// SentencePiece's: the most likely pieces.
    Unigram,
}

/// Special tokens of a new tokenizer; the ids are 0 to 4.
const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const UNKNOWN: &str = "[UNK]";
/// At most this many characters get a token of their own in a WordPiece vocabulary.
const ALPHABET: usize = 1000;

impl TokenizerKind {
    /// The fewest tokens that a vocabulary may have. Bytes alone are 256.
    pub fn smallest_vocabulary(self) -> usize {
        if self == TokenizerKind::Bpe { 256 + SPECIALS.len() } else { 64 }
    }
}

impl Tokenizer {
    /// Learns a tokenizer of up to `vocab_size` tokens, specials included. `lowercase` folds case (and, for WordPiece,
    /// strips accents, as BERT's uncased models do). WordPiece and Bpe vocabularies are a pure function of the
    /// documents; a Unigram vocabulary can differ slightly from run to run, since the library sums in random order.
    ///
    /// A small corpus may give fewer tokens than asked for, which is logged.
    ///
    /// # Errors
    /// The first error of `documents`; a `vocab_size` too small for the alphabet; no documents.
    pub fn train(
        kind: TokenizerKind,
        vocab_size: usize,
        lowercase: bool,
        documents: impl Iterator<Item = Result<String>> + Send,
    ) -> Result<Self> {
        let fewest = kind.smallest_vocabulary();
        if !(fewest..=1 << 24).contains(&vocab_size) {
            return Err(Error::config("vocab_size", format!("{vocab_size} is not within {fewest} to {}", 1 << 24)));
        }
        let mut documents = documents.peekable();
        if documents.peek().is_none() {
            return Err(Error::config("documents", "there are none to learn a vocabulary from"));
        }
        let feed = Feed::new(documents);
        let trained = guarded(|| match kind {
            TokenizerKind::WordPiece => train_wordpiece(vocab_size, lowercase, &feed),
            TokenizerKind::Bpe => train_bpe(vocab_size, lowercase, &feed),
            TokenizerKind::Unigram => train_unigram(vocab_size, lowercase, &feed),
        });
        if let Some(error) = feed.error() {
            return Err(error);
        }
        let json = trained.and_then(|tokenizer| guarded(|| tokenizer.to_string(true)));
        let json = json.map_err(|problem| Error::config("vocab_size", format!("training failed: {problem}")))?;
        let tokenizer = Tokenizer::from_bytes(json.into_bytes(), "the new tokenizer")?;
        if tokenizer.vocab_size() < vocab_size {
            log::warn!("the documents give only {} of {vocab_size} tokens", tokenizer.vocab_size());
        }
        Ok(tokenizer)
    }
}

fn train_wordpiece(
    vocab_size: usize,
    lowercase: bool,
    feed: &Feed<impl Iterator<Item = Result<String>> + Send>,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut tokenizer = tokenizers::Tokenizer::new(WordPiece::default());
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));

    let mut trainer = WordPieceTrainer::builder().vocab_size(vocab_size).show_progress(false).build();
    let alphabet = Mutex::new(Alphabet::default());
    feed.count_words(&mut trainer, &tokenizer, |words| alphabet.lock().unwrap().add(words))?;

    // Left to itself the trainer numbers the `##x` tokens in the order of a hash table. Listing them first, as if they
    // were special, makes the vocabulary reproducible.
    let alphabet = alphabet.into_inner().unwrap().most_frequent(ALPHABET.min(vocab_size / 4));
    let continuations = alphabet.iter().filter(|(_, continues)| *continues).map(|(c, _)| format!("##{c}"));
    let tokens = SPECIALS.into_iter().map(String::from).chain(continuations);
    trainer.set_special_tokens(tokens.map(|token| AddedToken::from(token, true)).collect());
    trainer.set_limit_alphabet(Some(alphabet.len()));
    trainer.set_initial_alphabet(alphabet.into_iter().map(|(c, _)| c).collect::<HashSet<char>>());

    let mut model = WordPiece::builder().unk_token(UNKNOWN.into()).build()?;
    trainer.train(&mut model)?;
    tokenizer.with_model(model);
    finish(tokenizer)
}

fn train_bpe(
    vocab_size: usize,
    lowercase: bool,
    feed: &Feed<impl Iterator<Item = Result<String>> + Send>,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_normalizer(lowercase.then_some(Lowercase))?;
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));

    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .special_tokens(specials())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    feed.count_words(&mut trainer, &tokenizer, |_| {})?;
    let mut model = BPE::default();
    trainer.train(&mut model)?;
    tokenizer.with_model(model);
    finish(tokenizer)
}

fn train_unigram(
    vocab_size: usize,
    lowercase: bool,
    feed: &Feed<impl Iterator<Item = Result<String>> + Send>,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut tokenizer = tokenizers::Tokenizer::new(Unigram::default());
    let mut normalizers = vec![NFKC.into()];
    normalizers.extend(lowercase.then(|| Lowercase.into()));
    // Metaspace splits at spaces alone: a line end would glue two words together.
    normalizers.push(Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")?.into());
    tokenizer.with_normalizer(Some(Sequence::new(normalizers)))?;
    let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
    tokenizer.with_pre_tokenizer(Some(metaspace.clone()));
    tokenizer.with_decoder(Some(metaspace));

    let mut trainer = UnigramTrainer::builder()
        .vocab_size(vocab_size as u32)
        .show_progress(false)
        .special_tokens(specials())
        .unk_token(Some(UNKNOWN.into()))
        .build()?;
    feed.count_words(&mut trainer, &tokenizer, |_| {})?;
    let mut model = Unigram::default();
    trainer.train(&mut model)?;
    tokenizer.with_model(model);
    finish(tokenizer)
}

/// Adds what every kind has: special tokens, and `[CLS] text [SEP]` around a text.
fn finish(mut tokenizer: tokenizers::Tokenizer) -> tokenizers::Result<tokenizers::Tokenizer> {
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
    SPECIALS.into_iter().map(|name| AddedToken::from(name, true)).collect()
}

/// Documents on their way into a trainer. The trainer takes no errors, so the first one ends the documents and waits.
struct Feed<I> {
    documents: Mutex<I>,
    error: Mutex<Option<Error>>,
}

impl<I: Iterator<Item = Result<String>> + Send> Feed<I> {
    fn new(documents: I) -> Self {
        Feed { documents: Mutex::new(documents), error: Mutex::new(None) }
    }

    /// Counts the words of all documents in `trainer`, and shows those of each document to `seen`.
    fn count_words(
        &self,
        trainer: &mut impl Trainer,
        tokenizer: &tokenizers::Tokenizer,
        seen: impl Fn(&[String]) + Sync,
    ) -> tokenizers::Result<()> {
        let documents = std::iter::from_fn(|| match self.documents.lock().unwrap().next()? {
            Ok(document) => Some(document),
            Err(error) => {
                *self.error.lock().unwrap() = Some(error);
                None
            }
        });
        trainer.feed(documents.fuse(), |document| {
            let mut found = Vec::new();
            for piece in pieces(document) {
                let normalizer = tokenizer.get_normalizer();
                let mut words = tokenizer.get_added_vocabulary().extract_and_normalize(normalizer, piece);
                if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
                    pre_tokenizer.pre_tokenize(&mut words)?;
                }
                let words = words.get_splits(OffsetReferential::Normalized, OffsetType::None);
                found.extend(words.into_iter().map(|(word, _, _)| word.to_owned()));
            }
            seen(&found);
            Ok(found)
        })
    }

    fn error(self) -> Option<Error> {
        self.error.into_inner().unwrap()
    }
}

/// For each character how often it occurs, and whether it ever continues a word.
#[derive(Default)]
struct Alphabet(BTreeMap<char, (u64, bool)>);

impl Alphabet {
    fn add(&mut self, words: &[String]) {
        for (index, c) in words.iter().flat_map(|word| word.char_indices()) {
            let (count, continues) = self.0.entry(c).or_default();
            *count += 1;
            *continues |= index > 0;
        }
    }

    /// The `limit` most frequent characters in the order of their code points.
    fn most_frequent(self, limit: usize) -> Vec<(char, bool)> {
        let mut characters: Vec<_> = self.0.into_iter().collect();
        characters.sort_by_key(|(c, (count, _))| (std::cmp::Reverse(*count), *c));
        characters.truncate(limit);
        characters.sort();
        characters.into_iter().map(|(c, (_, continues))| (c, continues)).collect()
    }
}
