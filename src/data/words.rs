//! Finds where words begin in scripts that put no spaces between them.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};

/// Blocks of scripts that are written without spaces between words.
const UNSPACED: [RangeInclusive<char>; 17] = [
    '\u{0E00}'..='\u{0EFF}',   // Thai, Lao
    '\u{1000}'..='\u{109F}',   // Myanmar
    '\u{1780}'..='\u{17FF}',   // Khmer
    '\u{1950}'..='\u{19FF}',   // Tai Le, New Tai Lue, Khmer symbols
    '\u{1A20}'..='\u{1AAF}',   // Tai Tham
    '\u{2E80}'..='\u{2FDF}',   // CJK radicals
    '\u{3005}'..='\u{3007}',   // iteration mark, zero
    '\u{3021}'..='\u{312F}',   // Hangzhou numerals, Hiragana, Katakana, Bopomofo
    '\u{31A0}'..='\u{31FF}',   // Bopomofo and Katakana extensions
    '\u{3400}'..='\u{4DBF}',   // Han
    '\u{4E00}'..='\u{A4CF}',   // Han, Yi
    '\u{A9E0}'..='\u{A9FF}',   // Myanmar
    '\u{AA60}'..='\u{AADF}',   // Myanmar, Tai Viet
    '\u{F900}'..='\u{FAFF}',   // Han
    '\u{FF66}'..='\u{FF9F}',   // half-width Katakana
    '\u{1AFF0}'..='\u{1B16F}', // Kana extensions
    '\u{20000}'..='\u{3FFFF}', // Han
];

/// Splits words by UAX #29, with Unicode's dictionaries for the scripts that need one.
static SEGMENTER: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()));

/// The bytes, ascending, at which a word begins next to a character of such a script. All other words are left to the
/// tokenizer, so a text without these scripts has none.
pub(super) fn unspaced_starts(text: &str) -> Vec<usize> {
    if text.is_ascii() || !text.chars().any(is_unspaced) {
        return Vec::new();
    }
    let touches = |&at: &usize| {
        let (before, after) = text.split_at(at);
        before.chars().next_back().is_some_and(is_unspaced) || after.chars().next().is_some_and(is_unspaced)
    };
    SEGMENTER.segment_str(text).filter(touches).collect()
}

fn is_unspaced(c: char) -> bool {
    c >= '\u{0E00}' && UNSPACED.iter().any(|block| block.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with a stroke at each start.
    fn cut(text: &str) -> String {
        let mut cut = text.to_string();
        unspaced_starts(text).into_iter().rev().for_each(|at| cut.insert(at, '|'));
        cut
    }

    #[test]
    fn words_of_scripts_without_spaces() {
        assert_eq!(cut("ภาษาไทยไม่มีช่องว่าง"), "|ภาษา|ไทย|ไม่มี|ช่อง|ว่าง|");
        assert_eq!(cut("こんにちは世界。"), "|こんにちは|世界|。");
        assert_eq!(cut("世界Linux世界"), "|世界|Linux|世界|");
    }

    #[test]
    fn what_has_spaces_is_left_alone() {
        for text in ["It isn't well-known 😀😀.", "한국어는 띄어쓰기를 한다", "में हिन्दी", "می‌روم", "ελληνικά, русский"]
        {
            assert_eq!(cut(text), text);
        }
        assert_eq!(cut("see 東京 and don't"), "see |東京| and don't");
    }

    #[test]
    fn blocks_are_in_order() {
        assert!(UNSPACED.windows(2).all(|pair| pair[0].end() < pair[1].start()));
    }
}
