//! What the binary refuses, and what it says. `cargo test refusals -- --nocapture` prints every message.

mod arguments;
mod checkpoints;
mod configs;
mod corpora;
mod prepared;
mod runs;
mod sizes;
mod versions;

use crate::workshop::{Outcome, Workshop};

/// Runs what must fail with exit code 1 and a message that has all of `words`.
pub fn refused(shop: &Workshop, line: &str, words: &[&str]) {
    refused_with(shop, line, &[], words);
}

/// As `refused`, with `more` arguments after those of `line`.
pub fn refused_with(shop: &Workshop, line: &str, more: &[&str], words: &[&str]) {
    judge(&format!("cloze {line} {more:?}"), &shop.run(line, more), 1, words);
}

/// The command ends without a panic, and its message names what is wrong and is the last thing printed, where a user looks.
fn judge(what: &str, outcome: &Outcome, code: i32, words: &[&str]) {
    let Outcome { stderr, .. } = outcome;
    assert_eq!(outcome.code, code, "{what}: {stderr}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    let message = stderr.find("error: ").map(|start| &stderr[start..]).unwrap_or_default();
    println!("{what}\n  [{}] {message}", outcome.code);
    for word in words {
        assert!(message.contains(word), "{what}: `{word}` is not in: {stderr}");
    }
}
