//! Text and tokenizers that cannot be used.

use super::refused;
use crate::workshop::Workshop;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

#[test]
fn texts() {
    let shop = Workshop::new();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&shop.read("text.txt")).unwrap();
    let gzip = gzip.finish().unwrap();
    std::fs::create_dir(shop.path("nothing")).unwrap();
    for (name, content, words) in [
        ("empty.txt", &b""[..], &["empty.txt", "no text in this file", "leave it out"][..]),
        ("blank.txt", b"\n \n", &["blank.txt", "no text in this file", "leave it out"]),
        ("cut.txt.gz", &gzip[..gzip.len() / 2], &["cut.txt.gz", "ends too early", "at byte", "fetch or compress"]),
        ("not.txt.gz", b"plain text", &["not.txt.gz", "damaged", "fetch or compress"]),
        ("not.txt.zst", b"plain text", &["not.txt.zst", "damaged", "fetch or compress"]),
        ("wide.txt", b"\xff\xfea\0b\0", &["wide.txt", "UTF-16", "convert it to UTF-8"]),
        ("a.jsonl", b"{\"text\": \"a b\"}\n{\"text\":\n", &["a.jsonl", "line 2", "not JSON", "mend the line"]),
        ("b.jsonl", b"{\"text\": \"a\"}\n\n{\"body\": \"b\"}", &["line 3", "\"body\"", "--field", "data.field"]),
        ("c.jsonl", b"{\"text\": 7}", &["c.jsonl", "line 1", "not a string", "mend the line"]),
        ("d.jsonl", b"[1]", &["d.jsonl", "line 1", "not a JSON object", "mend the line"]),
        ("one.txt", b"word", &["no text for the validation part", "data.validation"]),
        ("text.csv", b"a,b", &["text.csv", "unknown kind of file", ".jsonl"]),
        ("nothing/*.txt", b"", &["nothing/*.txt", "no file matches"]),
    ] {
        if !name.contains('*') {
            shop.write(name, content);
        }
        refused(&shop, &format!("train run.toml --device cpu --set data.train=[\"{name}\"]"), words);
    }
    refused(&shop, "train run.toml --device cpu --set data.train=[\"nothing\"]", &["nothing", "no file to read"]);
    refused(&shop, "train run.toml --device cpu --set data.validation=[\"no.txt\"]", &["no.txt", "check the path"]);
}

#[test]
fn tokenizers() {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 300 --out good.json text.txt", &[]);
    let good = shop.text("good.json");
    for (content, words) in [
        ("garbage", &["bad.json", "not a usable tokenizer"][..]),
        ("{}", &["bad.json", "not a usable tokenizer"]),
        (&good[..good.len() / 2], &["bad.json", "not a usable tokenizer"]),
        (&good.replace("[MASK]", "[MUSK]"), &["bad.json", "the vocabulary has no [MASK]", "needs [PAD]"]),
        (&good.replace("\"[MASK]\": 4", "\"[MASK]\": 4000000000"), &["bad.json", "not a usable tokenizer"]),
    ] {
        shop.write("bad.json", content);
        refused(&shop, "prepare --tokenizer bad.json --out p text.txt", words);
        refused(&shop, "train run.toml --device cpu --set tokenizer.file=bad.json", words);
    }
    assert!(!shop.path("p").exists());
}
