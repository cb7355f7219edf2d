//! `cloze embed` with a folder that sentence-transformers saved.

use super::{copy_golden, edit_json};
use crate::workshop::Workshop;
use serde_json::{Value, json};

/// Texts with more and with fewer tokens than the 16 that the folder allows, and with capitals.
const TEXTS: &str = "ab cd ef\n\nAbc def ghi jkl mno pqr stu vwx yz\nx [MASK] z\n";

/// A golden BERT with the modules of a model that takes [CLS], 16 tokens at most, and scales to length 1.
fn folder() -> Workshop {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    edit_json(&shop, "bert/tokenizer.json", |tokenizer| {
        tokenizer["post_processor"] = json!({ "type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3] });
    });
    for module in ["1_Pooling", "2_Normalize"] {
        std::fs::create_dir(shop.path("bert").join(module)).unwrap();
    }
    modules(&shop, &["Transformer", "Pooling", "Normalize"]);
    shop.write("bert/1_Pooling/config.json", r#"{"word_embedding_dimension": 32, "pooling_mode_cls_token": true}"#);
    shop.write("bert/sentence_bert_config.json", r#"{"max_seq_length": 16, "do_lower_case": false}"#);
    shop.write("texts.txt", TEXTS);
    shop
}

fn modules(shop: &Workshop, kinds: &[&str]) {
    let places = ["", "1_Pooling", "2_Normalize"];
    let module =
        |(kind, place): (&&str, &str)| json!({"path": place, "type": format!("sentence_transformers.models.{kind}")});
    let list: Vec<Value> = kinds.iter().zip(places).map(module).collect();
    shop.write("bert/modules.json", Value::from(list).to_string());
}

fn embed(shop: &Workshop, more: &str) -> String {
    shop.done(&format!("embed bert texts.txt --device cpu {more}"), &[]).stdout
}

/// The vectors that the options of the command line give without the modules.
fn by_options(shop: &Workshop, options: &str) -> String {
    std::fs::rename(shop.path("bert/modules.json"), shop.path("aside")).unwrap();
    let vectors = embed(shop, options);
    std::fs::rename(shop.path("aside"), shop.path("bert/modules.json")).unwrap();
    vectors
}

#[test]
fn pooling_length_and_normalisation_are_those_of_the_modules() {
    let shop = folder();
    assert_eq!(embed(&shop, ""), by_options(&shop, "--pooling cls --normalize --max-length 16"));
    // Options on the command line take precedence.
    assert_eq!(
        embed(&shop, "--pooling mean --max-length 8"),
        by_options(&shop, "--pooling mean --normalize --max-length 8")
    );

    // Newer versions write it like this: the length is the tokenizer's.
    modules(&shop, &["Transformer", "Pooling"]);
    shop.write(
        "bert/1_Pooling/config.json",
        r#"{"embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": true}"#,
    );
    shop.write("bert/sentence_bert_config.json", r#"{"transformer_task": "feature-extraction"}"#);
    shop.write("bert/tokenizer_config.json", r#"{"model_max_length": 12}"#);
    assert_eq!(embed(&shop, ""), by_options(&shop, "--pooling mean --max-length 12"));
    shop.write("bert/tokenizer_config.json", r#"{"model_max_length": 1000000000000000019884624838656}"#);
    assert_eq!(embed(&shop, ""), by_options(&shop, "--pooling mean --max-length 40"));

    // A prompt stands before each text, and lower case is the modules' own.
    shop.write("bert/sentence_bert_config.json", r#"{"do_lower_case": true}"#);
    let settings = r#"{"default_prompt_name": "query", "prompts": {"query": "Q: "}}"#;
    shop.write("bert/config_sentence_transformers.json", settings);
    let vectors = embed(&shop, "").replace("\"text\"", "");
    shop.write(
        "texts.txt",
        TEXTS.to_lowercase().replace("[mask]", "[MASK]").lines().map(|text| format!("q: {text}\n")).collect::<String>(),
    );
    let vector = |line: &str| line.split("\"embedding\":").nth(1).unwrap().split(']').next().unwrap().to_string();
    let of_plain = by_options(&shop, "--max-length 40");
    assert_eq!(vectors.lines().map(vector).collect::<Vec<_>>(), of_plain.lines().map(vector).collect::<Vec<_>>());

    let imported = shop.done("import bert in", &[]);
    assert!(imported.stderr.contains("modules.json is left behind"), "{}", imported.stderr);
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let shop = folder();
    let refused = |file: &str, content: &str, named: &str| {
        let before = shop.path("bert").join(file).exists().then(|| shop.read(&format!("bert/{file}")));
        shop.write(&format!("bert/{file}"), content);
        let refused = shop.run("embed bert texts.txt --device cpu", &[]);
        assert_eq!(refused.code, 1, "{file}: {content}");
        assert!(refused.stderr.contains(&format!("bert/{file}: {named}")), "{}", refused.stderr);
        match before {
            Some(before) => shop.write(&format!("bert/{file}"), before),
            None => std::fs::remove_file(shop.path("bert").join(file)).unwrap(),
        }
    };
    let list = |kind: &str, place: &str| {
        let first = [("Transformer", ""), ("Pooling", "1_Pooling"), (kind, place)];
        let module = |(kind, place)| json!({"path": place, "type": format!("sentence_transformers.models.{kind}")});
        Value::from(first.map(module).to_vec()).to_string()
    };
    refused("modules.json", &list("Dense", "2_Dense"), "has a module Dense");
    refused("modules.json", &list("Normalize", "../.."), "names the path `../..`");
    refused(
        "modules.json",
        r#"[{"path": "", "type": "custom_st.Transformer"}]"#,
        "has a module `custom_st.Transformer`",
    );
    refused(
        "modules.json",
        r#"[{"path": "", "type": "sentence_transformers.models.StaticEmbedding"}]"#,
        "its modules are StaticEmbedding",
    );
    refused("modules.json", "[{}]", "{} is not a module");
    refused("modules.json", "{", "is not JSON");
    refused("1_Pooling/config.json", r#"{"pooling_mode": "max"}"#, "pools by max");
    let two = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#;
    refused("1_Pooling/config.json", two, "pools by cls and mean");
    refused("1_Pooling/config.json", r#"{"include_prompt": false}"#, "include_prompt is false");
    refused("2_Normalize/config.json", r#"{"module_input_name": "token_embeddings"}"#, "module_input_name");
    refused("sentence_bert_config.json", r#"{"tokenizer_name_or_path": "elsewhere"}"#, "tokenizer_name_or_path");
    refused("sentence_bert_config.json", r#"{"max_seq_length": 1}"#, "a text may have 1 tokens at most");
    refused("config_sentence_transformers.json", r#"{"truncate_dim": 8}"#, "truncate_dim is 8");
    refused("config_sentence_transformers.json", r#"{"default_prompt_name": "q"}"#, "default_prompt_name is `q`");
    refused("tokenizer_config.json", r#"{"truncation_side": "left"}"#, "truncation_side");
}
