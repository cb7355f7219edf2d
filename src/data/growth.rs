//! Limits the memory that a normaliser of a `tokenizer.json` may take. Each replacement in a chain may double a text, a
//! damaged table may ask for gigabytes, and a failed allocation ends the process.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// How many times as long a text may become. Normalisers that are in use stay below a dozen.
const MOST: usize = 256;

#[derive(Deserialize)]
struct WithNormalizer {
    #[serde(default)]
    normalizer: Value,
}

/// Refuses a `tokenizer.json` whose normaliser may make a text much longer, or has a damaged table. JSON that is no tokenizer
/// is not judged here.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let Ok(WithNormalizer { normalizer }) = serde_json::from_slice(json) else { return Ok(()) };
    if growth(&normalizer) > MOST {
        return Err(format!("its normalizer may make a text more than {MOST} times as long"));
    }
    if !tables_are_whole(&normalizer) {
        return Err("the precompiled_charsmap of its normalizer is damaged".into());
    }
    Ok(())
}

/// Whether SentencePiece tables in a normaliser are as long as they say. They are allocated at that length before they are
/// read.
fn tables_are_whole(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        Some("Sequence") => normalizer["normalizers"].as_array().is_none_or(|parts| parts.iter().all(tables_are_whole)),
        Some("Precompiled") => normalizer["precompiled_charsmap"].as_str().is_none_or(|table| {
            // The layout: the length of a trie in bytes, the trie, then strings.
            let bytes = BASE64_STANDARD.decode(table).unwrap_or_default();
            bytes.split_first_chunk().is_some_and(|(&length, rest)| u32::from_le_bytes(length) as usize <= rest.len())
        }),
        _ => true,
    }
}

/// The most bytes that one byte may become.
fn growth(normalizer: &Value) -> usize {
    let length = |text: &Value| text.as_str().map_or(0, str::len);
    match normalizer["type"].as_str() {
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().map(growth).fold(1, usize::saturating_mul)
        }
        // It is put before every part of a text that is normalised separately.
        Some("Prepend") => 1 + length(&normalizer["prepend"]),
        Some("Replace") => {
            let content = length(&normalizer["content"]);
            match length(&normalizer["pattern"]["String"]) {
                0 if matches_nothing(normalizer) => 1 + content,
                0 => content.max(1),
                pattern => content.div_ceil(pattern).max(1),
            }
        }
        Some("ByteLevel") => 2,
        // All others make a text longer by a small factor at most.
        _ => 1,
    }
}

/// Whether the regular expression of a replacement also matches between characters. This is tried on characters that no
/// expression has.
fn matches_nothing(replace: &Value) -> bool {
    const TRIAL: &str = "\u{E000}\u{E001}";
    let mut text = NormalizedString::from(TRIAL);
    let normalizer: Result<NormalizerWrapper, _> = serde_json::from_value(replace.clone());
    normalizer.is_ok_and(|normalizer| normalizer.normalize(&mut text).is_ok() && text.get() != TRIAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replace(pattern: Value, content: &str) -> Value {
        json!({ "type": "Replace", "pattern": pattern, "content": content })
    }

    #[test]
    fn chains_multiply_and_usual_normalisers_pass() {
        let chain = |part: Value, count: usize| json!({ "type": "Sequence", "normalizers": vec![part; count] });
        let refused = |normalizer: Value| check(json!({ "normalizer": normalizer }).to_string().as_bytes()).is_err();
        assert!(refused(chain(replace(json!({ "String": "a" }), "aa"), 40)));
        assert!(refused(chain(chain(replace(json!({ "Regex": "a+?" }), "aa"), 7), 7)));
        assert!(refused(chain(replace(json!({ "Regex": "x*" }), "x"), 40)));
        assert!(refused(json!({ "type": "Prepend", "prepend": "a".repeat(1000) })));
        assert!(refused(replace(json!({ "String": "" }), &"a".repeat(1000))));
        let table = |base64: &str| json!({ "type": "Precompiled", "precompiled_charsmap": base64 });
        assert!(refused(table("/////////////////////w==")));
        assert!(refused(chain(table("BQAAAAAAAAA="), 1)), "five bytes, and only four are there");
        for usual in [
            Value::Null,
            json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "lowercase": true }),
            json!({ "type": "Sequence", "normalizers": [
                { "type": "Prepend", "prepend": "▁" }, replace(json!({ "String": " " }), "▁"),
                replace(json!({ "String": "``" }), "\""), { "type": "NFKD" }, { "type": "Lowercase" },
                replace(json!({ "Regex": " {2,}" }), " ") ] }),
            chain(replace(json!({ "Regex": "[“”]" }), "\""), 50),
            table("BAAAAAAAAAA="),
        ] {
            assert!(!refused(usual));
        }
        assert!(check(b"nothing").is_ok());
    }
}
