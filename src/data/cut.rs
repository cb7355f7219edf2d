//! Where a long text may be cut.

/// The unit of tokenisation: long enough that its overhead is negligible, short enough to bound memory and share work.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// The length of a prefix of `bytes` after which to cut: at most `limit`, and at least 1 byte.
///
/// The best place is before a single space between two ASCII letters or digits, where no tokenizer's result depends on the
/// other side. The next best is any ASCII white space, then a UTF-8 boundary. The first two are looked for in the second half
/// only, so that the number of pieces stays bounded.
pub(super) fn cut_point(bytes: &[u8], limit: usize) -> usize {
    if bytes.len() <= limit {
        return bytes.len();
    }
    let second_half = limit / 2 + 1..limit;
    let between_words = |at: &usize| {
        bytes[*at] == b' ' && bytes[at - 1].is_ascii_alphanumeric() && bytes[at + 1].is_ascii_alphanumeric()
    };
    (second_half.clone().rev().find(between_words))
        .or_else(|| second_half.rev().find(|&at| bytes[at].is_ascii_whitespace()))
        .unwrap_or_else(|| character_boundary(bytes, limit))
}

/// The pieces of `text`, each of at most `PIECE_BYTES`; together they are the text.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(cut_point(text.as_bytes(), PIECE_BYTES));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// `limit`, moved back to the start of a character; bytes that are not UTF-8 are cut at `limit`.
fn character_boundary(bytes: &[u8], limit: usize) -> usize {
    let continues = |at: usize| bytes[at] & 0xC0 == 0x80;
    (limit.saturating_sub(3).max(1)..=limit).rev().find(|&at| !continues(at)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_a_space_between_words_then_white_space_then_a_character() {
        assert_eq!(cut_point(b"one two, three", 12), 8);
        assert_eq!(cut_point(b"one two three", 9), 7);
        assert_eq!(cut_point("éééé".as_bytes(), 5), 4);
        assert_eq!(cut_point(&[0x80; 9], 5), 5);
        assert_eq!(cut_point(b"short", 5), 5);
    }

    #[test]
    fn pieces_make_up_the_text() {
        for text in ["ab cd ".repeat(40_000), "語".repeat(60_000), String::new()] {
            let pieces: Vec<&str> = pieces(&text).collect();
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
            assert_eq!(pieces.concat(), text);
        }
    }
}
