//! Next-sentence prediction: trained, resumed, measured, exported and refused.

use crate::workshop::Workshop;
use safetensors::SafeTensors;
use serde_json::Value;

const NSP: &str = "--device cpu --set task.kind=nsp --set model.recipe=bert";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn both_losses_are_measured_and_a_resume_has_the_same() {
    let shop = Workshop::new();
    let trained = shop.done(&format!("train run.toml {NSP} --out whole"), &[]);
    assert!(trained.stderr.contains("next sentence"), "{}", trained.stderr);
    let metrics = lines(&shop.text("whole/metrics.jsonl"));
    let step = metrics.iter().find(|line| line["step"] == 12).unwrap();
    let number = |key: &str| step[key].as_f64().unwrap_or_else(|| panic!("no {key} in {step}"));
    assert!((number("loss") - number("masked_loss") - number("next_sentence_loss")).abs() < 1e-9, "{step}");
    assert!((0.0..=1.0).contains(&number("next_sentence_accuracy")) && number("next_sentence_loss") > 0.1, "{step}");
    assert_eq!(number("accuracy"), number("masked_accuracy"));

    // Leaves the checkpoint of step 8 as the newest, as if the run had been killed after it.
    shop.copy("whole", "cut");
    std::fs::remove_dir_all(shop.path("cut/checkpoints/step-000012")).unwrap();
    shop.done(&format!("train run.toml {NSP} --out cut --resume"), &[]);
    let model = |run: &str| shop.read(&format!("{run}/checkpoints/step-000012/model.safetensors"));
    assert!(model("cut") == model("whole"), "a resumed run has another model");
    let losses = |run: &str| {
        lines(&shop.text(&format!("{run}/metrics.jsonl"))).iter().map(|line| line["loss"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses("cut"), losses("whole"));
}

#[test]
fn it_is_exported_as_bert_for_pre_training_and_comes_back() {
    let shop = Workshop::new();
    shop.done(&format!("train run.toml {NSP}"), &[]);
    shop.done("export runs/run hf", &[]);
    let config: Value = serde_json::from_str(&shop.text("hf/config.json")).unwrap();
    assert_eq!(config["architectures"], serde_json::json!(["BertForPreTraining"]));
    let bytes = shop.read("hf/model.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in [
        ("bert.pooler.dense.weight", vec![32, 32]),
        ("bert.pooler.dense.bias", vec![32]),
        ("cls.seq_relationship.weight", vec![2, 32]),
        ("cls.seq_relationship.bias", vec![2]),
    ] {
        assert_eq!(tensors.tensor(name).unwrap().shape(), shape, "{name}");
    }

    let eval = |model: &str| {
        shop.done(&format!("eval {model} text.txt --documents line --sequence-length 32 --device cpu --json"), &[])
            .json()
    };
    let own = eval("runs/run");
    assert!(own["next_sentence_accuracy"].as_f64().is_some_and(|share| share > 0.2), "{own}");
    let known = |mut result: Value| {
        result.as_object_mut().unwrap().remove("unigram_cross_entropy");
        result
    };
    // As transformers would save it, without what Cloze wrote of its own: the tensors tell the task.
    let mut foreign = config;
    foreign.as_object_mut().unwrap().remove("cloze");
    shop.write("hf/config.json", foreign.to_string());
    shop.done("import hf again", &[]);
    assert_eq!(known(eval("again")), known(own.clone()));
    assert_eq!(known(eval("hf")), known(own));
    shop.done("fill-mask hf --device cpu", &["It was a [MASK] evening."]);
    shop.done("embed hf text.txt --device cpu --out vectors.npy", &[]);
}

#[test]
fn a_masked_language_model_goes_on_with_a_fresh_head_and_back() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set model.recipe=bert --out words", &[]);
    shop.done("export words words-hf", &[]);
    let sizes = "--device cpu --set model.init=words-hf";
    let fresh = shop.done(&format!("train run.toml {sizes} --set task.kind=nsp --out pairs"), &[]);
    assert!(fresh.stderr.contains("goes on as \"nsp\""), "{}", fresh.stderr);
    shop.done("export pairs pairs-hf", &[]);
    let sizes = "--device cpu --set model.init=pairs-hf";
    shop.done(&format!("train run.toml {sizes} --out words-again"), &[]);
    let config: Value = serde_json::from_str(&shop.text("pairs-hf/config.json")).unwrap();
    assert_eq!(config["cloze"]["task"], "nsp");
}

#[test]
fn what_makes_no_pairs_is_refused() {
    let shop = Workshop::new();
    for (line, parts) in [
        ("train run.toml --device cpu --set task.kind=nsp", &["model.type_vocab_size", "task.kind"][..]),
        ("train run.toml --device cpu --set task.kind=nps", &["task.kind", "mlm", "nsp"]),
        (
            "train run.toml --device cpu --set task.kind=nsp --set model.recipe=bert --set data.documents=file",
            &["documents: there is only one"],
        ),
    ] {
        let refused = shop.run(line, &[]);
        assert_ne!(refused.code, 0, "{line}");
        for part in parts {
            assert!(refused.stderr.contains(part), "{line}: no {part} in {}", refused.stderr);
        }
    }
    shop.done(&format!("train run.toml {NSP} --set train.steps=4"), &[]);
    let other = shop.run("train run.toml --device cpu --set model.recipe=bert --resume", &[]);
    assert!(
        other.code != 0 && other.stderr.contains("task.kind: is mlm, and the run began with nsp"),
        "{}",
        other.stderr
    );
    let one = shop.run("eval runs/run text.txt --device cpu", &[]);
    assert!(one.code != 0 && one.stderr.contains("documents: there is only one"), "{}", one.stderr);
}

#[test]
fn a_task_of_a_later_version_is_refused() {
    let shop = Workshop::new();
    shop.done(&format!("train run.toml {NSP} --set train.steps=4"), &[]);
    shop.done("export runs/run hf", &[]);
    shop.write("hf/config.json", shop.text("hf/config.json").replace("\"task\": \"nsp\"", "\"task\": \"rank\""));
    let refused = shop.run("fill-mask hf --device cpu", &["It was a [MASK] evening."]);
    assert!(refused.code != 0 && refused.stderr.contains("cloze.task is \"rank\""), "{}", refused.stderr);
}
