use cloze::data::{SpecialTokens, Tokenizer, TokenizerKind, TokenizerOptions};

use crate::{prose, tokenizer};

/// A tokenizer that tells upper case from lower case.
fn learn(
    kind: TokenizerKind,
    vocab_size: usize,
    documents: impl Iterator<Item = cloze::Result<String>> + Send,
) -> cloze::Result<Tokenizer> {
    Tokenizer::train(&TokenizerOptions::new(kind, vocab_size, false), documents)
}

const KINDS: [TokenizerKind; 3] = [TokenizerKind::WordPiece, TokenizerKind::Bpe, TokenizerKind::Unigram];

#[test]
fn each_kind_encodes_and_decodes() {
    for kind in KINDS {
        let tokenizer = tokenizer(kind);
        assert_eq!(tokenizer.specials(), SpecialTokens { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
        let ids = tokenizer.encode("The taro minsel kadu", true).unwrap();
        assert_eq!((ids[0], ids[ids.len() - 1]), (2, 3), "{kind:?}");
        assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size() && *id != 1), "{kind:?}: {ids:?}");
        assert_eq!(tokenizer.decode(&ids, true).unwrap().trim(), "the taro minsel kadu", "{kind:?}");
        assert_eq!(tokenizer.id(&tokenizer.token(ids[1]).unwrap()), Some(ids[1]));
        assert!(
            (0..5).all(|id| tokenizer.is_special(id)) && !tokenizer.is_special(5) && !tokenizer.is_special(u32::MAX)
        );
    }
}

#[test]
fn word_starts_count_the_words() {
    for kind in KINDS {
        let tokenizer = tokenizer(kind);
        let encoded = tokenizer.encode_with_word_starts("taromingra duvenesk lipohuselka").unwrap();
        let lines = tokenizer.encode_with_word_starts("taromingra duvenesk\nlipohuselka").unwrap();
        assert!(!lines.ids.contains(&tokenizer.specials().unk), "{kind:?}: a line end is unknown");
        assert_eq!(encoded.ids.len(), encoded.word_starts.len());
        assert!(encoded.ids.len() > 3, "{kind:?} has a token for each of these words: nothing is tested");
        assert_eq!(encoded.word_starts.iter().filter(|starts| **starts).count(), 3, "{kind:?}");
        assert!(encoded.word_starts[0]);
    }
}

#[test]
fn names_of_special_tokens_mean_something_only_where_asked_for() {
    for kind in KINDS {
        let tokenizer = tokenizer(kind);
        let ids = tokenizer.encode("taro [MASK] min", false).unwrap();
        assert_eq!(ids.iter().filter(|id| **id == 4).count(), 1, "{kind:?}");
        let literal = tokenizer.encode_with_word_starts("taro [MASK] min").unwrap().ids;
        assert!(!literal.contains(&4), "{kind:?}: {literal:?}");
    }
}

#[test]
fn a_tokenizer_whose_mask_leaves_the_space_is_read_as_it_is() {
    for (kind, before) in [(TokenizerKind::Bpe, "Ġ"), (TokenizerKind::Unigram, "▁")] {
        let new = tokenizer(kind);
        let mut json: serde_json::Value = serde_json::from_slice(new.json()).unwrap();
        json["added_tokens"][4]["lstrip"] = false.into();
        let old = Tokenizer::from_bytes(serde_json::to_vec(&json).unwrap(), "old").unwrap();
        let spelled: Vec<_> =
            old.encode("The [MASK]", false).unwrap().into_iter().filter_map(|id| old.token(id)).collect();
        assert_eq!(spelled[spelled.len() - 2..], [before, "[MASK]"], "{kind:?}");
        assert_eq!(old.encode("The[MASK]", false).unwrap(), new.encode("The [MASK]", false).unwrap());
    }
}

#[test]
fn a_long_text_encodes_like_its_parts() {
    // Longer than the pieces that a text is cut into.
    let text = prose(77, 4000);
    assert!(text.len() > 150_000);
    for kind in KINDS {
        let tokenizer = tokenizer(kind);
        let encoded = tokenizer.encode_with_word_starts(&text).unwrap();
        assert_eq!(encoded.ids, tokenizer.encode(&text, false).unwrap(), "{kind:?}");
    }
}

#[test]
fn training_is_reproducible() {
    for kind in [TokenizerKind::WordPiece, TokenizerKind::Bpe] {
        assert!(tokenizer(kind).json() == tokenizer(kind).json(), "{kind:?}");
    }
}

#[test]
fn training_on_little_gives_less_and_on_nothing_an_error() {
    for kind in [TokenizerKind::WordPiece, TokenizerKind::Bpe] {
        let small = learn(kind, 5000, ["a b", "Ab ba"].map(|text| Ok(text.into())).into_iter()).unwrap();
        assert!(small.vocab_size() < 300);
        assert!(!small.encode("Ab", false).unwrap().contains(&1));
    }
    for kind in KINDS {
        let none = learn(kind, 500, std::iter::empty()).err().expect("no documents");
        assert!(none.to_string().starts_with("documents:"), "{none}");
        let tiny = learn(kind, 5, [Ok("a b".to_string())].into_iter()).err().expect("no room");
        assert!(tiny.to_string().starts_with("vocab_size:"), "{tiny}");
        let broken = [Ok("a b".into()), Err(cloze::Error::file("x.txt", "broken"))];
        let broken = learn(kind, 500, broken.into_iter()).err().expect("a bad document");
        assert_eq!(broken.to_string(), "x.txt: broken");
    }
}

#[test]
fn saved_and_loaded_without_truncation_or_padding() {
    let mut json: serde_json::Value = serde_json::from_slice(tokenizer(TokenizerKind::WordPiece).json()).unwrap();
    json["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    Tokenizer::from_bytes(serde_json::to_vec(&json).unwrap(), "test").unwrap().save(&path).unwrap();
    let ids = Tokenizer::load(&path).unwrap().encode("ta ro min sel ka du ven li", true).unwrap();
    assert!(ids.len() >= 10 && !ids.contains(&0), "{ids:?}");
}

#[test]
fn unusable_tokenizers_are_errors() {
    let fail = |json: &[u8]| Tokenizer::from_bytes(json.to_vec(), "some.json").err().expect("unusable").to_string();
    assert!(fail(b"{").starts_with("some.json: not a usable tokenizer"), "{}", fail(b"{"));
    let json = String::from_utf8(tokenizer(TokenizerKind::WordPiece).json().to_vec()).unwrap();
    let maskless = fail(json.replace("[MASK]", "[HASK]").as_bytes());
    assert!(maskless.contains("has no [MASK]:"), "{maskless}");
    let stray = fail(json.replacen("\"[MASK]\": 4", "\"[MASK]\": 4000000000", 1).as_bytes());
    assert!(stray.starts_with("some.json"), "{stray}");
}
