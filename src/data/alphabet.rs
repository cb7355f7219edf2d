//! Which characters of a text get tokens of their own.

use std::collections::BTreeMap;

/// Number of characters that a message names.
const NAMED: usize = 8;

/// How often each character of a text occurs, and whether it ever continues a word.
#[derive(Default)]
pub(super) struct Characters(BTreeMap<char, (u64, bool)>);

impl Characters {
    /// Counts the characters of words, given the number of times that each word occurs.
    pub fn of(words: &[(String, u64)]) -> Self {
        let mut characters = Characters::default();
        for (word, times) in words {
            for (at, c) in word.char_indices() {
                let (count, continues) = characters.0.entry(c).or_default();
                *count += times;
                *continues |= at > 0;
            }
        }
        characters
    }

    /// Chooses the most frequent characters: as few as make up the share `coverage` of the text, and no more than fit into
    /// `room` tokens. `price` returns the number of tokens that a character takes, given whether it ever continues a word.
    pub fn choose(self, coverage: f64, room: usize, price: impl Fn(bool) -> usize) -> Alphabet {
        let total: u64 = self.0.values().map(|(count, _)| count).sum();
        let mut by_count: Vec<_> = self.0.into_iter().collect();
        by_count.sort_by_key(|(c, (count, _))| (std::cmp::Reverse(*count), *c));

        let mut alphabet = Alphabet { kept: BTreeMap::new(), dropped: Vec::new(), covered: 1.0, tokens: 0, wanted: 0 };
        let (mut covered, mut seen) = (0, 0);
        for (c, (count, continues)) in by_count {
            let is_wanted = (seen as f64) < coverage * total as f64;
            seen += count;
            alphabet.wanted += if is_wanted { price(continues) } else { 0 };
            if is_wanted && alphabet.wanted <= room {
                alphabet.tokens = alphabet.wanted;
                alphabet.kept.insert(c, continues);
                covered += count;
            } else {
                alphabet.dropped.push(c);
            }
        }
        alphabet.covered = covered as f64 / total.max(1) as f64;
        alphabet
    }
}

/// The characters that get tokens, and those that do not.
pub(super) struct Alphabet {
    /// In the order of their code points, with whether the character ever continues a word.
    pub kept: BTreeMap<char, bool>,
    /// The most frequent first.
    pub dropped: Vec<char>,
    /// The share of the text that the kept ones make up.
    pub covered: f64,
    /// Number of tokens that the kept ones take.
    pub tokens: usize,
    /// Number of tokens that the requested coverage would take.
    pub wanted: usize,
}

impl Alphabet {
    /// Whether every character of a word has a token.
    pub fn spells(&self, word: &str) -> bool {
        self.dropped.is_empty() || word.chars().all(|c| self.kept.contains_key(&c))
    }

    /// Describes what has no token: how many characters, how much of the text, and some of them.
    pub fn left_out(&self) -> String {
        let named: Vec<String> = self.dropped.iter().take(NAMED).map(|c| name(*c)).collect();
        let more = if self.dropped.len() > NAMED { " …" } else { "" };
        format!(
            "{} of {} characters, {:.2} % of the text ({}{more})",
            self.dropped.len(),
            self.dropped.len() + self.kept.len(),
            100.0 * (1.0 - self.covered),
            named.join(" ")
        )
    }
}

/// A character as a message shows it, by its code point if it can't be seen by itself.
pub(super) fn name(c: char) -> String {
    if c.is_alphanumeric() || c.is_ascii_graphic() { c.to_string() } else { format!("U+{:04X}", c as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alphabet(coverage: f64, room: usize) -> Alphabet {
        let words = [("aab", 10), ("cb", 2), ("d", 1)].map(|(word, times)| (word.to_string(), times));
        Characters::of(&words).choose(coverage, room, |continues| 1 + usize::from(continues))
    }

    #[test]
    fn all_that_there_is_room_for() {
        let all = alphabet(1.0, 100);
        assert_eq!(all.kept.into_iter().collect::<Vec<_>>(), [('a', true), ('b', true), ('c', false), ('d', false)]);
        assert_eq!((all.tokens, all.wanted, all.covered), (6, 6, 1.0));
        let some = alphabet(1.0, 5);
        assert_eq!((some.tokens, some.wanted, &some.dropped[..]), (5, 6, &['d'][..]));
        assert!(some.spells("cab") && !some.spells("cad"));
        assert_eq!(some.left_out(), "1 of 4 characters, 2.86 % of the text (d)");
    }

    #[test]
    fn as_few_as_make_up_the_coverage() {
        // a is 20 of 35 characters, b 12 and c 2.
        assert_eq!(alphabet(20.0 / 35.0, 100).dropped, ['b', 'c', 'd']);
        assert_eq!(alphabet(0.9, 100).dropped, ['c', 'd']);
        assert_eq!(alphabet(0.95, 100).dropped, ['d']);
    }

    #[test]
    fn characters_that_cannot_be_seen_are_named() {
        assert_eq!(["x", "丧", "\u{200D}"].map(|c| name(c.chars().next().unwrap())), ["x", "丧", "U+200D"]);
    }
}
