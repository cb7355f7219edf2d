//! `cloze import`: in whatever form a model comes, its values stay the same.

use super::{Stored, copy_golden, edit_json, init, read_tensors, tokenizer_json, values, vocabulary, write_tensors};
use crate::workshop::{Workshop, names};
use cloze::checkpoint::SavedModel;
use half::{bf16, f16};
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

const GOLDEN: [&str; 4] = ["bert", "bert-wide", "roberta", "modernbert"];

#[test]
fn golden_models_keep_their_bits() {
    let shop = Workshop::new();
    for name in GOLDEN {
        copy_golden(&shop, name);
        let imported = shop.done(&format!("import {name} in-{name}"), &[]);
        let family = name.split('-').next().unwrap();
        assert!(imported.stdout.starts_with(&format!("in-{name}: {family}, ")), "{}", imported.stdout);
        let files =
            ["config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
        assert_eq!(names(shop.path(&format!("in-{name}"))), files);
        assert!(values(&shop, name) == values(&shop, &format!("in-{name}")), "{name}");

        // Exported and imported again, it has the same bytes.
        shop.done(&format!("export in-{name} out-{name}"), &[]);
        shop.done(&format!("import out-{name} again-{name}"), &[]);
        for file in files {
            let of = |folder: &str| shop.read(&format!("{folder}-{name}/{file}"));
            assert!(of("in") == of("out") && of("in") == of("again"), "{name}: {file}");
        }
        // The tensors are what transformers had written.
        let stored = |folder: &str| {
            let mut tensors = read_tensors(&shop.path(folder).join("model.safetensors"));
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            tensors.into_iter().map(|tensor| (tensor.name, tensor.shape, tensor.bytes)).collect::<Vec<_>>()
        };
        assert!(stored(name) == stored(&format!("out-{name}")), "{name}: other tensors than transformers wrote");
        let filled = shop.done(&format!("fill-mask in-{name} --device cpu --json"), &["a [MASK] b"]);
        assert_eq!(filled.json().as_array().unwrap().len(), 5);
    }
    assert_eq!(names(shop.path("")).iter().filter(|name| name.starts_with('.')).count(), 0, "something is left over");
}

#[test]
fn shards_are_read() {
    let shop = Workshop::new();
    for name in GOLDEN {
        copy_golden(&shop, name);
        shop.done(&format!("export {name} shards-{name} --max-shard-size 20KB"), &[]);
        let files = names(shop.path(&format!("shards-{name}")));
        let shards = files.iter().filter(|name| name.starts_with("model-0")).count();
        assert!(shards > 2 && files.contains(&"model.safetensors.index.json".to_string()), "{files:?}");
        assert!(!files.contains(&"model.safetensors".to_string()));
        assert!(values(&shop, name) == values(&shop, &format!("shards-{name}")), "{name}");
        shop.done(&format!("import shards-{name} whole-{name}"), &[]);
        assert!(values(&shop, name) == values(&shop, &format!("whole-{name}")), "{name}");
    }
}

#[test]
fn old_names_and_superfluous_tensors_are_read() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    let want = values(&shop, "bert");
    let path = shop.path("bert").join("model.safetensors");
    let mut tensors = read_tensors(&path);
    for tensor in &mut tensors {
        let name = &mut tensor.name;
        *name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    }
    let copy_of = |name: &str, to: &str| {
        let tensor = tensors.iter().find(|tensor| tensor.name == name).unwrap();
        Stored { name: to.into(), dtype: tensor.dtype, shape: tensor.shape.clone(), bytes: tensor.bytes.clone() }
    };
    let numbers: Vec<u8> = (0..40i64).flat_map(i64::to_le_bytes).collect();
    let more = [
        copy_of("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
        copy_of("cls.predictions.bias", "cls.predictions.decoder.bias"),
        copy_of("cls.predictions.bias", "bert.pooler.dense.bias"),
        copy_of("cls.predictions.bias", "cls.seq_relationship.bias"),
        Stored { name: "bert.embeddings.position_ids".into(), dtype: Dtype::I64, shape: vec![1, 40], bytes: numbers },
    ];
    tensors.extend(more);
    write_tensors(&path, &tensors);
    shop.done("import bert in", &[]);
    assert!(values(&shop, "in") == want);
}

#[test]
fn half_precision_is_read_and_written() {
    let shop = Workshop::new();
    copy_golden(&shop, "roberta");
    let want = values(&shop, "roberta");
    for (dtype, round) in [
        ("f16", (|value| f16::from_f32(value).to_f32()) as fn(f32) -> f32),
        ("bf16", |value| bf16::from_f32(value).to_f32()),
    ] {
        shop.done(&format!("export roberta {dtype} --dtype {dtype}"), &[]);
        let config: Value = serde_json::from_slice(&shop.read(&format!("{dtype}/config.json"))).unwrap();
        assert!(config["dtype"].as_str().unwrap().ends_with("float16"));
        let rounded: Vec<Vec<f32>> =
            want.iter().map(|values| values.iter().map(|&value| round(value)).collect()).collect();
        assert!(values(&shop, dtype) == rounded, "{dtype}");
    }
}

#[test]
fn a_decoder_of_its_own_is_kept() {
    for (name, base, decoder, bias) in [
        ("bert", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder", Some("cls.predictions.bias")),
        ("roberta", "roberta.embeddings.word_embeddings.weight", "lm_head.decoder", Some("lm_head.bias")),
        ("modernbert", "model.embeddings.tok_embeddings.weight", "decoder", None),
    ] {
        let shop = Workshop::new();
        copy_golden(&shop, name);
        let path = shop.path(name).join("model.safetensors");
        let mut tensors = read_tensors(&path);
        let embedding = tensors.iter().find(|tensor| tensor.name == base).unwrap();
        let (shape, bytes) = (embedding.shape.clone(), embedding.bytes.iter().rev().copied().collect::<Vec<u8>>());
        // Any bytes do, as long as they are numbers.
        let bytes: Vec<u8> = bytes.as_chunks::<4>().0.iter().flat_map(|w| [0, w[1], w[2], 0x3c]).collect();
        tensors.push(Stored { name: format!("{decoder}.weight"), dtype: Dtype::F32, shape, bytes });
        write_tensors(&path, &tensors);
        let tied = shop.run(&format!("import {name} in"), &[]);
        assert_eq!(tied.code, 1);
        assert!(tied.stderr.contains("tie_word_embeddings"), "{}", tied.stderr);

        edit_json(&shop, &format!("{name}/config.json"), |config| config["tie_word_embeddings"] = false.into());
        if let Some(bias) = bias {
            // As transformers 5 writes it: the bias that counts, and one that is never used.
            let at = tensors.iter().position(|tensor| tensor.name == bias).unwrap();
            let (shape, bytes) = (tensors[at].shape.clone(), tensors[at].bytes.clone());
            tensors[at].bytes.fill(0);
            tensors.push(Stored { name: format!("{decoder}.bias"), dtype: Dtype::F32, shape, bytes });
            write_tensors(&path, &tensors);
        }
        let model = SavedModel::open(&shop.path(name)).unwrap();
        assert!(!model.config.tied_decoder);
        let bias = model.values().last().unwrap();
        assert!(bias.iter().any(|&value| value != 0.0), "{name}: the bias that is never used was taken");
        shop.done(&format!("import {name} in"), &[]);
        shop.done("export in out", &[]);
        assert!(values(&shop, "out") == model.values(), "{name}");
        let written = read_tensors(&shop.path("out").join("model.safetensors"));
        assert!(written.iter().any(|tensor| tensor.name == format!("{decoder}.bias")), "{name}");
    }
}

#[test]
fn tokenizers_of_older_models_are_made() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    std::fs::remove_file(shop.path("bert").join("tokenizer.json")).unwrap();
    shop.write("bert/vocab.txt", vocabulary("bert").join("\n"));
    for (cased, text, want) in [(false, "Ab, [MASK]", &[2, 5, 32, 1, 4, 3][..]), (true, "Ab [MASK]", &[2, 1, 4, 3])] {
        shop.write("bert/tokenizer_config.json", json!({ "do_lower_case": !cased }).to_string());
        shop.done(&format!("import bert in-{cased}"), &[]);
        let tokenizer = cloze::data::Tokenizer::load(shop.path(&format!("in-{cased}")).join("tokenizer.json")).unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap(), want, "cased: {cased}");
    }

    copy_golden(&shop, "roberta");
    std::fs::remove_file(shop.path("roberta").join("tokenizer.json")).unwrap();
    let tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "\u{120}", "ab", "\u{120}ab"];
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.to_string(), id.into())).collect();
    shop.write("roberta/vocab.json", Value::Object(vocab).to_string());
    shop.write("roberta/merges.txt", "#version: 0.2\na b\n\u{120} ab\n");
    shop.done("import roberta in-roberta", &[]);
    let tokenizer = cloze::data::Tokenizer::load(shop.path("in-roberta").join("tokenizer.json")).unwrap();
    // The mask takes the space before it, as in transformers.
    assert_eq!(tokenizer.encode("ab ab <mask>a", true).unwrap(), [0, 8, 9, 4, 5, 2]);
}

#[test]
fn special_tokens_have_the_names_that_the_files_give_them() {
    let shop = Workshop::new();
    copy_golden(&shop, "bert");
    shop.write("bert/tokenizer.json", tokenizer_json(&vocabulary("bert")).replace("\"[MASK]\"", "\"<gap>\""));
    let missing = shop.run("import bert in", &[]);
    assert!(missing.code == 1 && missing.stderr.contains("[MASK]"), "{}", missing.stderr);
    shop.write("bert/special_tokens_map.json", json!({ "mask_token": { "content": "<gap>" } }).to_string());
    shop.done("import bert in", &[]);
    let filled = shop.done("fill-mask in --device cpu --json", &["a <gap> b"]);
    assert_eq!(filled.json().as_array().unwrap().len(), 5);
    // The name is passed on to prepared data, and from there to a run.
    shop.done("prepare --tokenizer in/tokenizer.json --out prepared --documents line text.txt", &[]);
    shop.write("init.toml", init::CONFIG);
    let sets = "--set model.init=in --set data.prepared=prepared --set train.steps=1";
    shop.done(&format!("train init.toml --device cpu --out run {sets}"), &[]);
    shop.done("fill-mask run --device cpu", &["a <gap> b"]);
}

#[test]
fn configs_of_transformers_4_and_5_mean_what_they_mean_there() {
    let golden: Value =
        serde_json::from_slice(&std::fs::read(super::golden("modernbert").join("config.json")).unwrap()).unwrap();
    let read = |edit: fn(&mut Value)| {
        let mut config = golden.clone();
        edit(&mut config);
        cloze::hf::config::read("config.json".as_ref(), &config).unwrap().1
    };
    let layers = |kinds: &str| -> Value {
        let kind = |c| if c == 'f' { "full_attention" } else { "sliding_attention" };
        kinds.chars().map(kind).collect::<Vec<_>>().into()
    };
    assert_eq!((read(|_| ()).sliding_window, read(|_| ()).global_every), (8, 3));
    // An odd window reaches as far as the even one below it.
    assert_eq!(read(|config| config["local_attention"] = 9.into()).sliding_window, 8);
    for (kinds, window, every) in [("fssf", 8, 3), ("fsfs", 8, 2), ("fsss", 8, 4), ("ffff", 0, 1)] {
        let mut config = golden.clone();
        config["layer_types"] = layers(kinds);
        config.as_object_mut().unwrap().remove("global_attn_every_n_layers");
        let config = cloze::hf::config::read("config.json".as_ref(), &config).unwrap().1;
        assert_eq!((config.sliding_window, config.global_every), (window, every), "{kinds}");
    }
    let old = |local: fn(&mut Value)| {
        let mut config = golden.clone();
        let fields = config.as_object_mut().unwrap();
        fields.remove("rope_parameters");
        fields.remove("layer_types");
        config["global_rope_theta"] = 80_000.into();
        local(&mut config);
        let config = cloze::hf::config::read("config.json".as_ref(), &config).unwrap().1;
        (config.rope_base, config.rope_local_base)
    };
    assert_eq!(old(|_| ()), (80_000.0, 10_000.0));
    assert_eq!(old(|config| config["local_rope_theta"] = 500.0.into()), (80_000.0, 500.0));
    assert_eq!(old(|config| config["local_rope_theta"] = Value::Null), (80_000.0, 80_000.0));
}
