//! What is done to a text before it is split into words, for each kind of tokenizer, as the parts of a `tokenizer.json`.

use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{BertNormalizer, Lowercase, NFC, NFD, NFKC, Sequence};

use super::train_tokenizer::{TokenizerKind, TokenizerOptions};

/// Control characters and layout marks, which nobody sees. The joiners U+200C and U+200D are not included, because Persian,
/// Hindi and emoji spell different words with and without them. Line ends and tabs are not either: they are white space.
const INVISIBLE: &str = r"[\x{00}-\x{08}\x{0B}\x{0E}-\x{1F}\x{7F}-\x{84}\x{86}-\x{9F}\x{AD}\x{061C}\x{180E}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}\x{FFF9}-\x{FFFD}]+";
/// A zero-width space separates words in scripts that write no spaces, such as Khmer.
const ZERO_WIDTH_SPACE: &str = "\u{200B}";
/// Accents on letters of scripts that can do without them. In other scripts such marks are vowels, or change consonants.
const ACCENTS: &str = r"(?<=[\p{Latin}\p{Greek}\p{Cyrillic}])[\x{0300}-\x{036F}\x{0483}-\x{0487}\x{1AB0}-\x{1AFF}\x{1DC0}-\x{1DFF}\x{FE20}-\x{FE2F}]+";

/// The normalizer of a new tokenizer; `None` if there is nothing to do.
pub(super) fn normalizer(options: &TokenizerOptions) -> tokenizers::Result<Option<Sequence>> {
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    // The patterns name code points, since the libraries that read them know different versions of Unicode.
    if options.kind != TokenizerKind::Bpe {
        steps.push(replace(INVISIBLE, "")?);
        steps.push(Replace::new(ZERO_WIDTH_SPACE, " ")?.into());
    }
    if options.strip_accents {
        steps.extend([NFD.into(), replace(ACCENTS, "")?]);
    }
    match options.kind {
        // Bytes spell any text, so nothing else is changed.
        TokenizerKind::Bpe => steps.extend(options.strip_accents.then(|| NFC.into())),
        TokenizerKind::WordPiece => steps.push(NFC.into()),
        TokenizerKind::Unigram => steps.push(NFKC.into()),
    }
    match options.kind {
        TokenizerKind::WordPiece => {
            steps.push(BertNormalizer::new(false, true, Some(false), options.lowercase).into());
        }
        _ => steps.extend(options.lowercase.then(|| Lowercase.into())),
    }
    if options.kind == TokenizerKind::Unigram {
        // Metaspace splits at spaces alone: a line end would glue two words together.
        steps.push(replace(r"\s+", " ")?);
    }
    Ok((!steps.is_empty()).then(|| Sequence::new(steps)))
}

fn replace(pattern: &str, by: &str) -> tokenizers::Result<NormalizerWrapper> {
    Ok(Replace::new(ReplacePattern::Regex(pattern.into()), by)?.into())
}
