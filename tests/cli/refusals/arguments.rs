//! Arguments that are refused: wrong paths, devices that don't exist, and texts that can't be used.

use super::{judge, refused, refused_with};
use crate::workshop::{Workshop, outcome};

#[test]
fn paths() {
    let shop = Workshop::new();
    shop.write("a-file", "");
    std::fs::create_dir(shop.path("a-folder")).unwrap();
    shop.write("a-folder/notes.md", "");
    shop.done("tokenizer --vocab-size 300 text.txt", &[]);
    let prepare = "prepare --tokenizer tokenizer.json --out";
    for (line, words) in [
        ("train missing.toml", &["missing.toml", "check the path"][..]),
        ("train a-folder", &["a-folder", "name a file, not a folder"]),
        ("train run.toml --device cpu --out a-file", &["a-file", "name a folder, not a file"]),
        ("train run.toml --device cpu --out a-file/run", &["a-file/run", "name a folder, not a file"]),
        ("tokenizer text.txt --out a-folder", &["a-folder", "name a file, not a folder"]),
        ("tokenizer text.txt --out missing/tokenizer.json", &["missing", "check the path"]),
        ("tokenizer missing.txt", &["missing.txt", "check the path"]),
        ("tokenizer a-folder", &["a-folder", "holds no file to read", ".jsonl"]),
        ("tokenizer *.csv", &["*.csv", "no file matches"]),
        (&format!("{prepare} a-file text.txt"), &["a-file", "name a folder, not a file"]),
        (&format!("{prepare} a-folder text.txt"), &["a-folder", "notes.md", "choose another"]),
        ("prepare --tokenizer missing.json --out p text.txt", &["missing.json", "check the path"]),
        ("eval missing text.txt", &["missing", "does not exist", "runs/tiny"]),
        ("eval a-folder text.txt", &["a-folder", "neither a run nor a checkpoint", "step-000500"]),
        ("fill-mask missing text", &["missing", "does not exist", "runs/tiny"]),
        ("embed missing text.txt", &["missing", "does not exist", "runs/tiny"]),
    ] {
        refused(&shop, line, words);
    }
    assert!(!shop.path("p").exists());
}

#[test]
fn values() {
    let shop = Workshop::new();
    for (line, words) in [
        ("tokenizer --vocab-size 10 text.txt", &["vocab_size", "10 is not within 64 to"][..]),
        ("tokenizer --vocab-size 260 --kind bpe text.txt", &["vocab_size", "260 is not within 261 to"]),
        ("tokenizer --vocab-size 99999999999 text.txt", &["vocab_size", "is not within"]),
    ] {
        refused(&shop, line, words);
    }
    shop.done("tokenizer --vocab-size 300 text.txt", &[]);
    let prepare = "prepare --tokenizer tokenizer.json --out p text.txt --validation-fraction";
    for fraction in ["0", "0.9", "-1", "nan"] {
        refused(&shop, &format!("{prepare}={fraction}"), &["--validation-fraction", "at most 0.5"]);
    }
}

#[test]
fn usage() {
    let shop = Workshop::new();
    for (line, words) in [
        ("train run.toml --device=", &["--device", "auto, cpu, gpu"][..]),
        ("eval runs/run text.txt --batch-size 0", &["--batch-size"]),
        ("eval runs/run", &["<DATA>"]),
        ("eval runs/run text.txt --pll --mask-rate 0.5", &["--pll", "--mask-rate", "cannot be used with"]),
        ("eval runs/run text.txt --max-sequences 0", &["--max-sequences"]),
        ("bench matmul_nt --shape huge", &["--shape", "tiny, bert-base", "m=1024"]),
        ("bench matmul_nt --shape m=0", &["--shape", "above 0"]),
        ("bench matmul_nt --shape bert-base,rows=2", &["--shape", "unknown size `rows`", "`sequence`"]),
        ("bench matmul_nt --precision f8", &["--precision", "f32, f16"]),
        ("bench train run.toml --steps 0", &["--steps"]),
        ("bench train", &["<CONFIG>"]),
        ("embed runs/run --pooling max", &["--pooling", "mean, cls"]),
        ("embed runs/run --format csv", &["--format", "jsonl, npy"]),
        ("eval runs/run text.txt --documents word", &["--documents", "blank-line"]),
        ("tokenizer text.txt --kind byte", &["--kind", "unigram"]),
        ("prepare text.txt --out p", &["--tokenizer"]),
        ("completions tcsh", &["bash"]),
    ] {
        judge(&format!("cloze {line}"), &shop.run(line, &[]), 2, words);
    }
}

#[test]
fn benches() {
    let shop = Workshop::new();
    for (line, words) in [
        ("bench matmul_tt", &["unknown kernel `matmul_tt`", "did you mean `matmul_", "`attention`"][..]),
        ("bench matmul_nt --variant fast", &["--variant", "they have twin"]),
        ("bench matmul_nt --shape rows=2", &["--shape", "matmul_nt", "unknown size `rows`", "`m`, `n`, `k`"]),
        ("bench matmul_nt --shape m=4294967295,n=4294967295", &["--shape", "too large"]),
        ("bench attention --shape heads=2", &["--shape", "attention", "tiny, bert-base"]),
        ("bench matmul_nt --precision f16", &["the CPU only imitates", "--device gpu", "--precision f32"]),
        ("bench sum_squares --precision f16", &["--precision f16", "sum_squares stores nothing"]),
        ("bench train missing.toml", &["missing.toml", "check the path"]),
        ("bench train run.toml --set train.batch_size=1048576", &["2^30 elements", "train.micro_batch"]),
        ("bench train run.toml --set tokenizer.file=missing.json", &["missing.json", "check the path"]),
        ("bench train run.toml --set data.prepared=missing", &["missing", "not a prepared folder", "cloze prepare"]),
        ("train run.toml --plan --set data.prepared=missing", &["missing", "not a prepared folder", "cloze prepare"]),
        ("train run.toml --plan --set tokenizer.file=missing.json", &["missing.json", "check the path"]),
    ] {
        refused(&shop, &format!("{line} --device cpu"), words);
    }
}

#[test]
fn devices() {
    let shop = Workshop::new();
    refused(&shop, "train run.toml --device 99", &["no GPU 99 among", "--device takes", "cloze devices"]);
    assert!(!shop.path("runs").exists(), "a run was begun");
    refused(
        &shop,
        "train run.toml --device foo",
        &["no GPU has `foo` in its name", "--device takes", "a part of the name"],
    );
    refused(
        &shop,
        "train run.toml --device=-1",
        &["no GPU has `-1` in its name", "--device takes", "a part of the name"],
    );
    if cfg!(target_os = "linux") {
        // The Vulkan loader finds no driver, as on a machine without one.
        let mut command = shop.command();
        command.args(["train", "run.toml", "--device", "gpu"]);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        judge("no adapter", &outcome(&mut command), 1, &["apt-get install mesa-vulkan-drivers", "--device cpu"]);
    }
}

#[test]
fn texts_for_a_model() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set train.steps=2", &[]);
    shop.write("empty.txt", "");
    shop.write("spaces.txt", " \n\t\n");
    shop.write("control.txt", "\u{1}\u{2}");
    for (line, words) in [
        ("eval runs/run empty.txt", &["empty.txt", "no text in this file", "leave it out"][..]),
        ("eval runs/run spaces.txt", &["spaces.txt", "no text in this file", "leave it out"]),
        ("eval runs/run control.txt", &["nothing in it can be masked", "give other text"]),
        ("eval runs/run missing.txt", &["missing.txt", "check the path"]),
        ("eval runs/run text.txt --mask-rate 2", &["--mask-rate", "above 0 and at most 0.9"]),
        ("eval runs/run text.txt --mask-rate nan", &["--mask-rate", "above 0 and at most 0.9"]),
        ("eval runs/run text.txt --sequence-length 600", &["--sequence-length", "at most 512"]),
        ("eval runs/run text.txt --sequence-length 2", &["--sequence-length", "2 is not within 3 to"]),
        ("eval runs/run text.txt --pll --sequence-length 2", &["--sequence-length", "2 is not within 3 to"]),
        ("eval runs/run control.txt --pll", &["nothing in it can be masked"]),
        ("embed runs/run missing.txt", &["missing.txt", "check the path"]),
        ("embed runs/run runs", &["runs", "name a file, not a folder"]),
        ("embed runs/run text.txt --out runs", &["runs", "name a file, not a folder"]),
        ("embed runs/run text.txt --out missing/v.npy", &["missing", "check the path"]),
        ("embed runs/run text.txt --max-length 600", &["--max-length", "600 is not within 2 to 512"]),
        ("embed runs/run text.txt --max-length 1", &["--max-length", "1 is not within 2 to 512"]),
    ] {
        refused(&shop, &format!("{line} --device cpu"), words);
    }
    let long = "[MASK] ".repeat(600);
    for (text, words) in [
        ("no mask here", &["no mask", "write [MASK] where"][..]),
        ("", &["no mask", "write [MASK] where"]),
        (&long, &["more than the 512 tokens", "at most"]),
    ] {
        refused_with(&shop, "fill-mask runs/run --device cpu", &[text], words);
    }
}

#[test]
fn a_setting_deeper_than_any() {
    let shop = Workshop::new();
    let deep = format!("{}b=1", "a.".repeat(50_000));
    let refused = shop.run("train run.toml --device cpu --plan --set", &[&deep]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("error: a.a.…: has 50001 parts, and no key has more than 8"), "{}", refused.stderr);
}
