//! Files that lie about their contents. They are refused with a message, and nothing is allocated for what they claim.

use super::{copy_golden, edit_json, read_tensors, tokenizer_json, vocabulary, write_tensors};
use crate::refusals::{refused, refused_with};
use crate::workshop::{Workshop, names};
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

/// A safetensors file with this header and this length of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn weights() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    let good = shop.read("bert/model.safetensors");
    let with_length = |length: u64| [&length.to_le_bytes()[..], &good[8..]].concat();
    let tensor = |shape: &str, first: u64, end: u64| {
        format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{first},{end}]}}")
    };
    let two = |a: String, b: String, data| file(&format!("{{\"a\":{a},\"b\":{b}}}"), data);
    let one = |shape: &str, first, end, data| file(&format!("{{\"a\":{}}}", tensor(shape, first, end)), data);
    let most = u64::MAX;
    for content in [
        b"".to_vec(),
        b"short".to_vec(),
        good[..good.len() - 1].to_vec(),
        good[..good.len() / 2].to_vec(),
        good[..20].to_vec(),
        [&good[..], b"more"].concat(),
        with_length(0),
        with_length(1 << 62),
        with_length(most),
        with_length(good.len() as u64),
        two(tensor("[2]", 0, 8), tensor("[2]", 4, 12), 12),
        two(tensor("[2]", 0, 8), tensor("[2]", 0, 8), 8),
        two(tensor("[1]", 0, 4), tensor("[1]", 8, 12), 12),
        one("[2]", 0, most, 8),
        one("[2]", 8, 0, 8),
        one("[4611686018427387904]", 0, 0, 0),
        one("[4294967296, 4294967296, 4294967296]", 0, 8, 8),
        one("[18446744073709551615]", 0, 18_446_744_073_709_551_612, 8),
        one("[1048576, 1048576]", 0, 1 << 42, 8),
        one("[-1]", 0, 4, 4),
        one("[1e3]", 0, 4, 4),
        file("{", 0),
        file("[]", 0),
        file("{\"a\":{\"dtype\":\"F3\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
        file("\u{0}\u{0}", 4),
        file(&"[".repeat(100_000), 0),
    ] {
        shop.write("bert/model.safetensors", content);
        refused(&shop, "import bert out", &["bert/model.safetensors", "not a sound safetensors file"]);
    }
    assert!(!shop.path("out").exists());
}

#[cfg(unix)]
#[test]
fn pipes_do_not_block() {
    for name in ["model.safetensors", "tokenizer.json"] {
        let shop = Workshop::new();
        copy_golden(&shop, "bert");
        let path = shop.path("bert").join(name);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused(&shop, "import bert out", &["bert/", name, "is a pipe or a device"]);
    }
}

#[test]
fn tensors() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    let path = shop.path("bert").join("model.safetensors");
    let dense = "cls.predictions.transform.dense.weight";
    type Edit = fn(&mut Vec<super::Stored>);
    let cases: [(Edit, &[&str]); 5] = [
        (
            |tensors| tensors.retain(|tensor| !tensor.name.ends_with("layer.1.output.dense.bias")),
            &["has no tensor `bert.encoder.layer.1.output.dense.bias`"],
        ),
        (|tensors| tensors[3].name.push('x'), &["has no tensor"]),
        (
            |tensors| {
                let mut more = super::Stored {
                    name: "classifier.weight".into(),
                    dtype: Dtype::F32,
                    shape: vec![1],
                    bytes: vec![0; 4],
                };
                more.bytes[0] = 1;
                tensors.push(more);
            },
            &["`classifier.weight`", "does not ask for"],
        ),
        (
            |tensors| {
                tensors
                    .iter_mut()
                    .filter(|t| t.name.ends_with("transform.dense.weight"))
                    .for_each(|t| t.shape = vec![16, 64])
            },
            &["transform.dense.weight` has shape [16, 64]", "asks for [32, 32]"],
        ),
        (
            |tensors| {
                tensors
                    .iter_mut()
                    .filter(|t| t.name.ends_with("transform.dense.weight"))
                    .for_each(|t| t.dtype = Dtype::I32)
            },
            &["is of type I32", "F32, F16 and BF16"],
        ),
    ];
    for (edit, words) in cases {
        copy_again(&shop);
        let mut tensors = read_tensors(&path);
        assert!(tensors.iter().any(|tensor| tensor.name == dense));
        edit(&mut tensors);
        write_tensors(&path, &tensors);
        refused(&shop, "import bert out", &[&["bert/model.safetensors"], words].concat());
    }
}

fn copy_again(shop: &Workshop) {
    std::fs::remove_dir_all(shop.path("bert")).unwrap();
    copy_golden(shop, "bert");
}

#[test]
fn no_weights_to_read() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    std::fs::remove_file(shop.path("bert/model.safetensors")).unwrap();
    refused(&shop, "import bert out", &["bert", "has neither model.safetensors nor model.safetensors.index.json"]);
    shop.write("bert/pytorch_model.bin", "");
    refused(&shop, "import bert out", &["bert", "pytorch_model.bin, a pickle", "save_pretrained('bert'"]);
    refused(&shop, "fill-mask bert [MASK] --device cpu", &["pytorch_model.bin, a pickle"]);
    refused(&shop, "import missing out", &["missing", "holds no config.json"]);
}

#[test]
fn indices() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    shop.done("export bert good --max-shard-size 40KB", &[]);
    shop.write("outside.safetensors", shop.read("bert/model.safetensors"));
    let index = "shards/model.safetensors.index.json";
    let files = names(shop.path("good"));
    let shards: Vec<&String> = files.iter().filter(|name| name.starts_with("model-")).collect();
    let absolute = shop.path("outside.safetensors").display().to_string();
    for (name, words) in [
        ("../outside.safetensors", &["index.json", "../outside.safetensors", "own folder"][..]),
        (&absolute, &["index.json", "own folder"]),
        ("..", &["index.json", "own folder"]),
        ("", &["index.json", "own folder"]),
        ("a/../model.safetensors", &["index.json", "own folder"]),
        ("model-00009-of-00009.safetensors", &["model-00009-of-00009.safetensors", "check the path"]),
        ("config.json", &["config.json", "not a sound safetensors file"]),
    ] {
        shop.copy("good", "shards");
        edit_json(&shop, index, |index| {
            index["weight_map"].as_object_mut().unwrap().values_mut().for_each(|file| *file = name.into());
        });
        refused(&shop, "import shards out", words);
    }
    for (weight_map, words) in [
        (json!([1]), &["not an index of shards"][..]),
        (json!({}), &["index.json", "has no tensor"]),
        (json!({ "cls.predictions.more": shards[0] }), &[shards[0], "has no tensor `cls.predictions.more`"]),
    ] {
        shop.copy("good", "shards");
        edit_json(&shop, index, |index| index["weight_map"] = weight_map);
        refused(&shop, "import shards out", words);
    }
    shop.copy("good", "shards");
    let [first, second] = [0, 1].map(|number| format!("shards/{}", shards[number]));
    shop.write(&first, &shop.read(&first)[..100]);
    refused(&shop, "import shards out", &[&first, "not a sound safetensors file"]);
    shop.write(&first, shop.read(&second));
    refused(&shop, "import shards out", &["has a tensor", "has too"]);
}

#[test]
fn configs() {
    let shop = Workshop::new();
    for (model, key, value, words) in [
        ("bert", "hidden_size", json!(1u64 << 40), &["model.hidden_size"][..]),
        ("bert", "hidden_size", json!(u64::MAX), &["model.hidden_size"]),
        ("bert", "hidden_size", json!(-1), &["config.json", "-1"]),
        ("bert", "num_hidden_layers", json!(u64::MAX), &["model.layers", "the most is 1024"]),
        ("bert", "num_hidden_layers", json!(1000), &["has no tensor `bert.encoder.layer.2."]),
        ("bert", "num_attention_heads", json!(0), &["model.heads", "at least 1"]),
        ("bert", "vocab_size", json!(1u64 << 60), &["model.vocab_size"]),
        ("bert", "vocab_size", json!(0), &["vocab_size is 0"]),
        ("bert", "max_position_embeddings", json!(1u64 << 50), &["model.max_positions"]),
        ("bert", "layer_norm_eps", json!(0), &["model.norm_eps"]),
        ("roberta", "pad_token_id", json!(u64::MAX), &["max_position_embeddings 42 leaves no position"]),
        ("bert", "model_type", json!("gpt2"), &["model_type `gpt2`", "bert, roberta, modernbert"]),
        ("bert", "hidden_act", json!("gelu_new"), &["hidden_act is `gelu_new`"]),
        ("roberta", "position_embedding_type", json!("relative_key"), &["position_embedding_type is `relative_key`"]),
        ("bert", "is_decoder", json!(true), &["is_decoder is true"]),
        ("bert", "add_cross_attention", json!(true), &["add_cross_attention is true"]),
        ("bert", "pruned_heads", json!({"0": [1]}), &["pruned_heads"]),
        ("bert", "quantization_config", json!({"bits": 8}), &["quantization_config"]),
        ("bert", "auto_map", json!({"AutoModel": "a.B"}), &["auto_map"]),
        ("bert", "type_vocab_size", json!(0), &["type_vocab_size is 0"]),
        ("modernbert", "attention_bias", json!(true), &["attention_bias = true", "all of these are true, or none"]),
        ("modernbert", "hidden_activation", json!("silu"), &["hidden_activation is `silu`"]),
        ("modernbert", "classifier_activation", json!("tanh"), &["classifier_activation is `tanh`"]),
        (
            "modernbert",
            "classifier_activation",
            json!("linear"),
            &["`model.final_norm.weight` has", "without activation"],
        ),
        ("modernbert", "layer_types", json!(["full_attention"]), &["layer_types lists 1 layers"]),
        (
            "modernbert",
            "layer_types",
            json!(vec!["full_attention"; 4]),
            &["layer_types contradicts global_attn_every_n_layers = 3"],
        ),
        ("modernbert", "layer_types", json!(vec!["linear_attention"; 4]), &["layer_types has `linear_attention`"]),
        ("modernbert", "global_attn_every_n_layers", json!(0), &["global_attn_every_n_layers is 0"]),
        ("modernbert", "local_attention", json!(1), &["local_attention is 1", "see only itself"]),
        ("modernbert", "rope_scaling", json!({"type": "linear"}), &["rope_scaling"]),
        (
            "modernbert",
            "rope_parameters",
            json!({"full_attention": {"rope_type": "yarn", "rope_theta": 1e4}}),
            &["rope_parameters.full_attention.rope_type is `yarn`"],
        ),
        ("modernbert", "head_dim", json!(16), &["head_dim is 16"]),
        ("modernbert", "decoder_bias", json!(false), &["`decoder.bias` that the config does not ask for"]),
        // Cloze's own section is checked like the rest.
        ("modernbert", "cloze", json!({"layers": 1}), &["config.json", "missing field"]),
    ] {
        let _ = std::fs::remove_dir_all(shop.path(model));
        copy_golden(&shop, model);
        edit_json(&shop, &format!("{model}/config.json"), |config| config[key] = value);
        refused(&shop, &format!("import {model} out"), words);
    }
    for (content, words) in [
        ("", &["config.json"][..]),
        ("[]", &["config.json"]),
        ("{}", &["config.json", "model_type is missing", "bert, roberta, modernbert"]),
        (&"[".repeat(100_000), &["config.json", "recursion limit"]),
    ] {
        shop.write("bert/config.json", content);
        refused(&shop, "import bert out", words);
    }
}

/// If Cloze's section asks for an identity matrix of 2^20 · 2^20 numbers, it is refused before one is made.
#[test]
fn sizes_in_our_own_section() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run --set train.steps=1", &[]);
    shop.done("export run out", &[]);
    edit_json(&shop, "out/config.json", |config| {
        let sizes = [("hidden_size", 1 << 20), ("heads", 1 << 13)];
        sizes.iter().for_each(|(key, size)| config["cloze"][key] = (*size).into());
        let sizes = [("hidden_size", 1 << 20), ("num_attention_heads", 1 << 13)];
        sizes.iter().for_each(|(key, size)| config[key] = (*size).into());
    });
    refused(&shop, "fill-mask out [MASK] --device cpu", &["out/model.safetensors", "has shape [400, 32]"]);
}

#[test]
fn tokenizers() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    let good: Value = serde_json::from_str(&tokenizer_json(&vocabulary("bert"))).unwrap();
    let with = |edit: fn(&mut Value)| {
        let mut json = good.clone();
        edit(&mut json);
        json.to_string()
    };
    // The parser panics on this one.
    let panics = with(|json| {
        json["model"] = json!({"type": "BPE", "continuing_subword_prefix": "######", "merges": [["a", "b"]],
                               "vocab": {"a": 0, "b": 1, "ab": 2}});
    });
    for (content, words) in [
        (panics, &["not a usable tokenizer"][..]),
        ("[".repeat(100_000), &["not a usable tokenizer"]),
        (
            with(|json| (json["model"]["vocab"], json["added_tokens"]) = (json!({}), json!([]))),
            &["not a usable tokenizer", "has no [PAD]"],
        ),
        (with(|json| json["model"]["vocab"]["x"] = json!(4_000_000_000u64)), &["the id 4000000000"]),
        (with(|json| json["model"]["vocab"]["x"] = json!(1_000)), &["1001 tokens and the model only 131"]),
        (with(|json| json["model"]["type"] = json!("Nothing")), &["not a usable tokenizer"]),
        (
            with(|json| json["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
            &["not a usable tokenizer"],
        ),
    ] {
        shop.write("bert/tokenizer.json", content);
        refused(&shop, "import bert out", &[&["bert/tokenizer.json"], words].concat());
    }
    shop.write(
        "bert/tokenizer.json",
        with(|json| {
            json["post_processor"] =
                json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 4_000_000]});
        }),
    );
    refused_with(&shop, "fill-mask bert --device cpu", &["a [MASK]"], &["tokenizer", "the id 4000000"]);

    std::fs::remove_file(shop.path("bert/tokenizer.json")).unwrap();
    refused(&shop, "import bert out", &["bert", "no tokenizer.json", "vocab.txt", "AutoTokenizer"]);
    for (file, content, words) in [
        ("vocab.json", "{", &["vocab.json", "not a vocabulary"][..]),
        ("vocab.json", "{\"a\": -1}", &["merges.txt", "check the path"]),
        ("merges.txt", "a b c d", &["vocab.json", "not a usable tokenizer"]),
        ("vocab.txt", "a\nb", &["vocab.txt", "has no [PAD]"]),
        ("added_tokens.json", "[]", &["added_tokens.json", "not a tokenizer's settings"]),
        ("tokenizer_config.json", "nothing", &["tokenizer_config.json", "not a tokenizer's settings"]),
    ] {
        shop.write(&format!("bert/{file}"), content);
        refused(&shop, "import bert out", words);
    }
    assert!(!shop.path("out").exists());
}
