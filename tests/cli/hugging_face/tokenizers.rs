//! Tokenizers in all the forms that users have. Files beside a tokenizer that change its ids are obeyed, or refused by name.
//! The expected ids are those of transformers 5.

use super::{copy_golden, edit_json, read_tensors, values, vocabulary, write_tensors};
use crate::workshop::Workshop;
use cloze::data::Tokenizer;
use serde_json::{Value, json};

/// A golden BERT with a `vocab.txt`, and as many rows as that has lines.
fn with_vocabulary(content: impl AsRef<[u8]>) -> Workshop {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    std::fs::remove_file(shop.path("bert/tokenizer.json")).unwrap();
    shop.write("bert/vocab.txt", content);
    shop
}

fn lines() -> String {
    vocabulary("bert").join("\n") + "\n"
}

/// The ids of a text, by the tokenizer of a folder after its import.
fn ids(shop: &Workshop, folder: &str, text: &str) -> Vec<u32> {
    let _ = std::fs::remove_dir_all(shop.path("in"));
    shop.done(&format!("import {folder} in"), &[]);
    Tokenizer::load(shop.path("in/tokenizer.json")).unwrap().encode(text, true).unwrap()
}

/// The message with which an import is refused.
fn refusal(shop: &Workshop, folder: &str) -> String {
    let refused = shop.run(&format!("import {folder} refused"), &[]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    refused.stderr
}

/// `tokenizer.json` of a BERT without capitals, as transformers writes it.
fn uncased(shop: &Workshop, settings: &Value) {
    edit_json(shop, "bert/tokenizer.json", |tokenizer| {
        tokenizer["normalizer"] = json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true
        });
        tokenizer["post_processor"] = json!({ "type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3] });
    });
    shop.write("bert/tokenizer_config.json", settings.to_string());
}

#[test]
fn vocabularies_as_editors_leave_them_are_read() {
    let (want, rows) = ([2, 5, 32, 4, 8, 3], vocabulary("bert").len());
    let with_mark = [&b"\xEF\xBB\xBF"[..], lines().as_bytes()].concat();
    for content in
        [lines().into_bytes(), (lines() + "\n").into_bytes(), with_mark, lines().replace('\n', "\r\n").into()]
    {
        let shop = with_vocabulary(content);
        let cut = |bytes: &[u8], width: usize| bytes[..rows * width].to_vec();
        edit_json(&shop, "bert/config.json", |config| config["vocab_size"] = rows.into());
        let path = shop.path("bert/model.safetensors");
        let mut tensors = read_tensors(&path);
        for tensor in tensors.iter_mut().filter(|tensor| tensor.shape[0] > rows) {
            let width = tensor.bytes.len() / tensor.shape[0];
            (tensor.shape[0], tensor.bytes) = (rows, cut(&tensor.bytes, width));
        }
        write_tensors(&path, &tensors);
        assert_eq!(ids(&shop, "bert", "ab [MASK] d"), want);
    }
    let shop = with_vocabulary(lines().replace("\nd\n", "\nd \n"));
    assert_eq!(ids(&shop, "bert", "ab [MASK] d"), want);
    let said = shop.done("import bert again", &[]).stderr;
    assert!(said.contains("vocab.txt: 1 lines end in white space, the first is line 9 (`d`)"), "{said}");
}

#[test]
fn tokenizers_that_split_otherwise_are_refused_by_name() {
    for (settings, named) in [
        (
            json!({ "tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab" }),
            "word_tokenizer_type is `mecab`",
        ),
        (json!({ "subword_tokenizer_type": "character" }), "subword_tokenizer_type is `character`"),
        (json!({ "tokenizer_class": "BertJapaneseTokenizer" }), "tokenizer_class is `BertJapaneseTokenizer`"),
        (json!({ "tokenizer_class": "BertweetTokenizer" }), "tokenizer_class is `BertweetTokenizer`"),
        (json!({ "tokenizer_class": "RobertaTokenizerFast" }), "tokenizer_class is `RobertaTokenizer`"),
        (json!({ "do_basic_tokenize": false }), "do_basic_tokenize is false"),
        (json!({ "never_split": ["ab"] }), "never_split is [\"ab\"]"),
        (json!({ "do_lower_case": "false" }), "do_lower_case is \"false\""),
        (json!({ "auto_map": { "AutoTokenizer": ["code.Own", null] } }), "auto_map"),
        (json!({ "split_special_tokens": true }), "split_special_tokens is true"),
        (json!({ "add_eos_token": false }), "add_eos_token is given"),
        (json!({ "added_tokens_decoder": { "99": { "content": "[MASK]" } } }), "`[MASK]` has the id 99 there, and 4"),
    ] {
        let shop = with_vocabulary(lines());
        shop.write("bert/tokenizer_config.json", settings.to_string());
        let said = refusal(&shop, "bert");
        assert!(said.contains("bert/tokenizer_config.json: ") && said.contains(named), "{said}");
    }
    // The class may stand in the model's config, and code tables beside the vocabulary.
    let shop = with_vocabulary(lines());
    shop.write("bert/bpe.codes", "a b 10\n");
    assert!(refusal(&shop, "bert").contains("bert/bpe.codes: "));
    edit_json(&shop, "bert/config.json", |config| config["tokenizer_class"] = "PhobertTokenizer".into());
    assert!(refusal(&shop, "bert").contains("bert/config.json: tokenizer_class is `PhobertTokenizer`"));

    let shop = Workshop::new();
    copy_golden(&shop, "roberta");
    std::fs::remove_file(shop.path("roberta/tokenizer.json")).unwrap();
    shop.write("roberta/vocab.json", r#"{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"<mask>":4,"a</w>":5,"b</w>":6,"a":7}"#);
    shop.write("roberta/merges.txt", "#version: 0.2\na b</w>\n");
    let said = refusal(&shop, "roberta");
    assert!(said.contains("roberta/vocab.json: its tokens mark the ends of words (`b</w>`)"), "{said}");
}

#[test]
fn what_stands_beside_a_tokenizer_is_obeyed() {
    let bert = |settings: Value, text: &str| {
        let shop = Workshop::new();
        copy_golden(&shop, "bert");
        uncased(&shop, &settings);
        ids(&shop, "bert", text)
    };
    let plain = [2, 5, 32, 4, 30, 35, 8, 3];
    assert_eq!(bert(json!({}), "Ab[MASK] zé d"), plain);
    assert_eq!(
        bert(json!({ "tokenizer_class": "BertTokenizer", "do_lower_case": false }), "Ab[MASK] zé d"),
        [2, 1, 4, 1, 8, 3]
    );
    assert_eq!(bert(json!({ "tokenizer_class": "BertTokenizerFast", "strip_accents": false }), "zé d"), [2, 1, 8, 3]);
    // A class that takes a tokenizer.json as it is passes over other classes' options.
    assert_eq!(
        bert(json!({ "tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false }), "Ab[MASK] zé d"),
        plain
    );
    assert_eq!(bert(json!({ "additional_special_tokens": ["[unused3]"] }), "a [unused3]"), [2, 5, 60, 3]);
    let listed =
        json!({ "added_tokens_decoder": { "100": { "content": "zd", "normalized": true, "special": false } } });
    assert_eq!(bert(listed, "azda"), [2, 5, 100, 5, 3]);

    let shop = with_vocabulary(lines());
    shop.write("bert/added_tokens.json", r#"{"ab": 100}"#);
    assert_eq!(ids(&shop, "bert", "ab d"), [2, 100, 8, 3]);

    let shop = Workshop::new();
    copy_golden(&shop, "roberta");
    let tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "\u{120}", "\u{120}a"];
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().zip(0..).map(|(token, id)| (token.to_string(), id.into())).collect();
    let added = (0..5).map(|id| json!({
        "id": id, "content": tokens[id], "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false
    }));
    let tokenizer = json!({
        "version": "1.0", "added_tokens": added.collect::<Vec<_>>(), "normalizer": null, "decoder": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": { "type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2], "trim_offsets": true, "add_prefix_space": false },
        "model": { "type": "BPE", "vocab": vocab, "merges": ["\u{120} a"] }
    });
    shop.write("roberta/tokenizer.json", tokenizer.to_string());
    shop.write(
        "roberta/tokenizer_config.json",
        json!({ "tokenizer_class": "RobertaTokenizer", "add_prefix_space": true }).to_string(),
    );
    assert_eq!(ids(&shop, "roberta", "a a"), [0, 7, 7, 2]);
    shop.write(
        "roberta/tokenizer_config.json",
        json!({ "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true }).to_string(),
    );
    let said = refusal(&shop, "roberta");
    assert!(said.contains("roberta/tokenizer.json: its pre_tokenizer has add_prefix_space = false"), "{said}");
}

#[test]
fn a_tied_model_may_have_its_decoder_alone() {
    for (name, embeddings, decoder) in [
        ("bert", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
        ("roberta", "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
        ("modernbert", "model.embeddings.tok_embeddings.weight", "decoder.weight"),
    ] {
        let shop = Workshop::new();
        copy_golden(&shop, name);
        let want = values(&shop, name);
        let path = shop.path(name).join("model.safetensors");
        let mut tensors = read_tensors(&path);
        tensors.iter_mut().find(|tensor| tensor.name == embeddings).unwrap().name = decoder.into();
        write_tensors(&path, &tensors);
        shop.done(&format!("import {name} in"), &[]);
        assert!(values(&shop, "in") == want, "{name}");
    }
}

#[test]
fn models_with_token_types_ask_for_them() {
    let shop = Workshop::new();
    for (name, want) in [
        ("bert", json!(["input_ids", "token_type_ids", "attention_mask"])),
        ("roberta", json!(["input_ids", "attention_mask"])),
        ("modernbert", json!(["input_ids", "attention_mask"])),
    ] {
        copy_golden(&shop, name);
        shop.done(&format!("import {name} in-{name}"), &[]);
        shop.done(&format!("export in-{name} out-{name}"), &[]);
        for folder in ["in", "out"] {
            let settings = shop.read(&format!("{folder}-{name}/tokenizer_config.json"));
            let settings: Value = serde_json::from_slice(&settings).unwrap();
            assert_eq!(settings["model_input_names"], want, "{folder}-{name}");
        }
    }
}

#[test]
fn a_normaliser_that_explodes_is_refused() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    edit_json(&shop, "bert/tokenizer.json", |tokenizer| {
        let twice = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
        tokenizer["normalizer"] = json!({ "type": "Sequence", "normalizers": vec![twice; 60] });
    });
    let said = refusal(&shop, "bert");
    assert!(
        said.contains("bert/tokenizer.json") && said.contains("may make a text more than 256 times as long"),
        "{said}"
    );
}
