//! From text to batches, through the library's public API.

mod batches;
mod corpus;
mod prepared;
mod progress;
mod tokenizer;

use cloze::data::{Tokenizer, TokenizerKind, TokenizerOptions};

/// Sentences of made-up words, different for each `seed`: enough to learn a small vocabulary from.
fn prose(seed: u64, sentences: usize) -> String {
    const SYLLABLES: [&str; 12] = ["ta", "ro", "min", "sel", "ka", "du", "ven", "li", "po", "gra", "hu", "esk"];
    let mut state = seed.wrapping_mul(2) + 1;
    let mut draw = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % n
    };
    let mut text = String::new();
    for _ in 0..sentences {
        for word in 0..4 + draw(9) {
            text.push_str(if word == 0 { "The" } else { " " });
            for _ in 0..1 + draw(3) {
                text.push_str(SYLLABLES[draw(12) as usize]);
            }
        }
        text.push_str(".\n");
    }
    text
}

fn tokenizer(kind: TokenizerKind) -> Tokenizer {
    let documents = (0..20).map(|seed| Ok(prose(seed, 30)));
    Tokenizer::train(&TokenizerOptions::new(kind, 400, true), documents).unwrap()
}
