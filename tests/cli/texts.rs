//! Texts, folders and lines in all the forms that users have.

use crate::workshop::Workshop;
use std::fs;

fn shop() -> Workshop {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 400 text.txt", &[]);
    shop
}

#[test]
fn bytes_that_are_not_utf8_are_told_of_wherever_text_is_read() {
    let shop = shop();
    shop.write("cp1252.txt", b"Le caf\xe9 o\xf9 l'\xe9l\xe8ve a mang\xe9 des cr\xeapes.\n".repeat(60));
    let told = |outcome: crate::workshop::Outcome, name: &str, count: usize| {
        let line = format!("{name}: {count} byte sequences that are not UTF-8");
        assert!(outcome.stderr.contains(&line), "{}", outcome.stderr);
    };
    told(shop.done("tokenizer --vocab-size 300 --out t.json cp1252.txt", &[]), "cp1252.txt", 360);
    told(shop.done("prepare --tokenizer tokenizer.json --out p --documents line cp1252.txt", &[]), "cp1252.txt", 360);
    told(shop.done("train run.toml --device cpu --set data.train=[\"cp1252.txt\"]", &[]), "cp1252.txt", 360);
    told(shop.done("eval runs/run cp1252.txt --device cpu", &[]), "cp1252.txt", 360);
    told(shop.done("embed runs/run cp1252.txt --device cpu", &[]), "cp1252.txt", 360);
}

#[test]
fn many_files_are_not_told_of_one_by_one() {
    let shop = shop();
    fs::create_dir(shop.path("many")).unwrap();
    (0..8).for_each(|number| shop.write(&format!("many/{number}.txt"), b"some caf\xe9 words"));
    let stderr = shop.done("prepare --tokenizer tokenizer.json --out p many", &[]).stderr;
    assert_eq!(stderr.matches("that are not UTF-8").count(), 6, "{stderr}");
    assert!(stderr.contains("in 3 more files: 3 byte sequences"), "{stderr}");
}

#[test]
fn lines_as_python_writes_them() {
    let shop = shop();
    let good = "{\"text\": \"a good line of text\", \"score\": NaN}\n".repeat(60);
    let emoji = "\u{feff}{\"text\": \"cut in the middle of an emoji \\ud83d\"}\n";
    shop.write("surrogate.jsonl", format!("{good}{emoji}{good}"));
    let done = shop.done("prepare --tokenizer tokenizer.json --out p surrogate.jsonl", &[]);
    assert!(done.stdout.contains("121 documents") && done.stderr.contains("surrogate.jsonl: 1 "), "{}", done.stderr);

    shop.write("null.jsonl", format!("{good}{{\"text\": null}}\n{good}"));
    let done = shop.done("prepare --tokenizer tokenizer.json --out q null.jsonl", &[]);
    assert!(done.stdout.contains("120 documents") && done.stdout.contains("1 lines without a usable text"));
    let line = "null.jsonl: 1 lines without a usable text were skipped; the first is line 61: \"text\" is not a string";
    assert!(done.stderr.contains(line), "{}", done.stderr);
    let none = shop.run("prepare --tokenizer tokenizer.json --out r --max-bad-lines 0 null.jsonl", &[]);
    assert!(none.code == 1 && none.stderr.contains("null.jsonl: line 61"), "{}", none.stderr);
    shop.done("train run.toml --device cpu --set data.train=[\"null.jsonl\"] --set train.steps=1", &[]);
}

#[test]
fn folders_as_they_are() {
    let shop = shop();
    for name in ["wiki/AA/wiki_00", "wiki/AB/wiki_00", "mixed/a.txt", "mixed/c.txt"] {
        fs::create_dir_all(shop.path(name).parent().unwrap()).unwrap();
        fs::copy(shop.path("text.txt"), shop.path(name)).unwrap();
    }
    shop.write("mixed/b.txt", "");
    shop.write("mixed/notes.md", "x");
    for (number, paths) in ["wiki", "wiki/*/wiki_*", "**/wiki_00", "mixed"].into_iter().enumerate() {
        let done = shop.done(&format!("prepare --tokenizer tokenizer.json --out p{number} {paths}"), &[]);
        assert!(done.stdout.contains("2 documents"), "{paths}: {}", done.stdout);
        if paths == "mixed" {
            assert!(done.stdout.contains("1 files without text were passed over"), "{}", done.stdout);
            assert!(done.stderr.contains("mixed/b.txt: passed over, without text"), "{}", done.stderr);
            assert!(done.stderr.contains("passed over 1 files of other kinds, such as mixed/notes.md"));
        }
    }
}

/// More documents than are buffered until it is clear whether there are few, but so few that none is drawn for validation.
#[test]
fn validation_is_cut_out_where_documents_are_too_few() {
    let shop = shop();
    shop.write("lines.txt", "it is a truth universally acknowledged\n".repeat(1100));
    let prepare = "prepare --tokenizer tokenizer.json --out p --documents line --validation-fraction 0.0001 lines.txt";
    let done = shop.done(prepare, &[]);
    assert!(done.stdout.contains("validation: "), "{}", done.stdout);
}

#[test]
fn a_missing_text_is_named_with_its_key_before_any_work() {
    let shop = Workshop::new();
    for (set, words) in [
        ("data.train=[\"gone/*.txt\"]", ["data.train: gone/*.txt", "no file matches"]),
        ("data.validation=[\"gone.txt\"]", ["data.validation: gone.txt", "check the path"]),
    ] {
        let stderr = shop.run("train run.toml --device cpu --set", &[set]).stderr;
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
        assert!(!stderr.contains("training a"), "no tokenizer is learnt: {stderr}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_does_not_block() {
    let shop = shop();
    assert!(std::process::Command::new("mkfifo").arg(shop.path("pipe.txt")).status().unwrap().success());
    let mut command = shop.command();
    command.args(["prepare", "--tokenizer", "tokenizer.json", "--out", "p", "pipe.txt"]);
    let output = command.timeout(std::time::Duration::from_secs(20)).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("pipe.txt: is a pipe or a device"), "{stderr}");
}

#[test]
fn what_a_killed_prepare_left_is_cleared() {
    let shop = shop();
    fs::create_dir(shop.path(".p.partial-killed")).unwrap();
    shop.done("prepare --tokenizer tokenizer.json --out p --documents line text.txt", &[]);
    assert!(!shop.path(".p.partial-killed").exists());
    fs::rename(shop.path("p"), shop.path(".p.replaced")).unwrap();
    shop.done("train run.toml --device cpu --set data.prepared=p --set train.steps=1", &[]);
    assert!(shop.path("p").exists() && !shop.path(".p.replaced").exists());
}
