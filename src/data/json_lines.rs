//! The text in a line of JSON, read as Python's `json` module reads it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use crate::Remedy;

/// The string under `field` of a JSON object, or what is wrong with the line. Halves of surrogate pairs are no characters:
/// they become U+FFFD and are counted in `replaced`.
pub(super) fn text_of(line: &str, field: &str, replaced: &mut u64) -> Result<String, Problem> {
    // When files with a byte-order mark are concatenated, lines begin with one.
    let line = line.trim_start_matches('\u{feff}');
    match parse(line, field, replaced) {
        // Python writes numbers, such as NaN, that JSON does not have.
        Err(strict @ Problem::NotJson(_)) => match without_constants(line) {
            Some(line) => parse(&line, field, replaced),
            None => Err(strict),
        },
        parsed => parsed,
    }
}

/// Why a line has no usable text.
#[derive(Debug)]
pub(super) enum Problem {
    NotJson(String),
    /// The value is not an object, or the key has no string.
    NoText(String),
    /// The object has other keys.
    NoKey(String),
}

impl Problem {
    /// What may help against many such lines.
    pub fn remedy(&self) -> Remedy {
        match self {
            Problem::NoKey(_) => Remedy::TextKey,
            Problem::NotJson(_) | Problem::NoText(_) => Remedy::SkipMoreLines,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Problem::NotJson(problem) => write!(f, "not JSON: {problem}; mend the line, or take it out"),
            Problem::NoText(problem) => write!(f, "{problem}; mend the line, or take it out"),
            Problem::NoKey(problem) => f.write_str(problem),
        }
    }
}

fn parse(line: &str, field: &str, replaced: &mut u64) -> Result<String, Problem> {
    let not_json = |error: serde_json::Error| Problem::NotJson(error.to_string().replace("line 1 column", "column"));
    if !line.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(line).map_err(not_json)?;
        return Err(Problem::NoText(format!("not a JSON object, so it has no \"{field}\"")));
    }
    let object: BTreeMap<Text, &RawValue> = serde_json::from_str(line).map_err(not_json)?;
    match object.iter().find(|(key, _)| key.text == field) {
        Some((_, value)) if value.get().starts_with('"') => {
            let found: Text = serde_json::from_str(value.get()).map_err(not_json)?;
            *replaced += found.replaced;
            Ok(found.text)
        }
        Some(_) => Err(Problem::NoText(format!("\"{field}\" is not a string"))),
        None => {
            let keys: Vec<String> = object.keys().map(|key| format!("\"{}\"", key.text)).collect();
            Err(Problem::NoKey(format!("no key \"{field}\"; it has {}: name the key of the text", keys.join(", "))))
        }
    }
}

/// A string in which lone surrogates were replaced.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Text {
    text: String,
    replaced: u64,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(without_surrogates(bytes.to_vec()))
            }
        }
        // Read as bytes, lone surrogates are encoded as if they were characters. Read as a string, they would be an error.
        deserializer.deserialize_bytes(Bytes)
    }
}

fn without_surrogates(mut bytes: Vec<u8>) -> Text {
    let mut replaced = 0;
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
            replaced += 1;
        }
    }
    Text { text: String::from_utf8_lossy(&bytes).into_owned(), replaced }
}

/// The line with `null` for each `NaN`, `Infinity` and `-Infinity` outside its strings; `None` where there is none.
fn without_constants(line: &str) -> Option<String> {
    let mut out = String::with_capacity(line.len());
    let (mut rest, mut found) = (line, false);
    while let Some(next) = rest.chars().next() {
        if next == '"' {
            let end = string_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(constant) = ["NaN", "-Infinity", "Infinity"].into_iter().find(|name| rest.starts_with(name))
        {
            out.push_str("null");
            (rest, found) = (&rest[constant.len()..], true);
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    found.then_some(out)
}

/// The length of the string that `text` begins with, quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_writes_what_json_does_not_have() {
        for (line, expected, halves) in [
            (r#"{"text": "a \ud83d b", "n": 1}"#, "a \u{fffd} b", 1),
            (r#"{"a\udc00": 2, "text": "\ud83d\ude00 \ude00\ud83d"}"#, "\u{1f600} \u{fffd}\u{fffd}", 2),
            (r#"{"score": NaN, "x": [-Infinity, Infinity], "text": "NaN, \"NaN\""}"#, "NaN, \"NaN\"", 0),
            ("\u{feff}{\"text\": \"after a mark\"}", "after a mark", 0),
            (r#"{"text": "first", "text": "last"}"#, "last", 0),
            (r#"{"text": "\t\u00e9\/\\"}"#, "\té/\\", 0),
        ] {
            let mut replaced = 0;
            assert_eq!(text_of(line, "text", &mut replaced).unwrap(), expected);
            assert_eq!(replaced, halves, "{line}");
        }
        for (line, complaint) in [
            (r#"{"text": null}"#, "not a string"),
            (r#"{"text": NaN}"#, "not a string"),
            (r#"{"text": "cut"#, "not JSON"),
            (r#"{"text": Nan}"#, "not JSON"),
            ("[NaN]", "not a JSON object"),
            (r#"{"body": ""}"#, "it has \"body\""),
        ] {
            let problem = text_of(line, "text", &mut 0).unwrap_err().to_string();
            assert!(problem.contains(complaint), "{line}: {problem}");
        }
    }
}
