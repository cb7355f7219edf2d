//! Data whose text, tokenizer or folder changes after a run has begun.

use crate::workshop::Workshop;

const LINE: &str = "train run.toml --device cpu --out run";

fn refused(shop: &Workshop, more: &str, words: &[&str]) {
    let outcome = shop.run(&format!("{LINE} --resume --set train.steps=15 {more}"), &[]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    words.iter().for_each(|word| assert!(outcome.stderr.contains(word), "no {word:?} in {}", outcome.stderr));
}

fn other_text(shop: &Workshop) -> String {
    shop.text("text.txt").replace("the", "that")
}

#[test]
fn an_edited_text_is_made_anew_or_refused() {
    let shop = Workshop::new();
    let text = shop.text("text.txt");
    shop.done(LINE, &[]);
    shop.write("text.txt", other_text(&shop));
    refused(&shop, "", &["data.train: text.txt has changed since the run's data was made", "--out", "run/data"]);
    // Does what the message suggests.
    let line = format!("{LINE} --resume --set train.steps=13 --set data.prepared=run/data");
    let resumed = shop.done(&line, &[]);
    assert!(!resumed.stderr.contains("other data"), "{}", resumed.stderr);
    // The same content with another time is no change.
    shop.write("text.txt", text);
    shop.done(&format!("{LINE} --resume --set train.steps=14"), &[]);

    std::fs::remove_dir_all(shop.path("run/checkpoints")).unwrap();
    shop.write("text.txt", other_text(&shop));
    let anew = shop.done(LINE, &[]);
    assert!(
        anew.stderr.contains("text.txt has changed since the run's data was made; it is made anew"),
        "{}",
        anew.stderr
    );
}

#[test]
fn a_text_that_is_gone_is_not_needed_again() {
    let shop = Workshop::new();
    shop.done(LINE, &[]);
    std::fs::remove_file(shop.path("text.txt")).unwrap();
    let resumed = shop.done(&format!("{LINE} --resume --set train.steps=13"), &[]);
    assert!(resumed.stderr.contains("text.txt is gone since the run's data was made"), "{}", resumed.stderr);
}

#[test]
fn another_file_of_a_folder_is_noticed() {
    let shop = Workshop::new();
    std::fs::create_dir(shop.path("texts")).unwrap();
    shop.write("texts/a.txt", shop.text("text.txt"));
    let folder = "--set data.train=[\"texts\"]";
    shop.done(&format!("{LINE} {folder}"), &[]);
    shop.write("texts/b.txt", other_text(&shop));
    refused(&shop, folder, &["data.train: texts/b.txt was not there when the run's data was made"]);
}

#[test]
fn another_tokenizer_file_is_noticed() {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 400 --out tokenizer.json text.txt", &[]);
    let file = "--set tokenizer.file=tokenizer.json";
    shop.done(&format!("{LINE} {file}"), &[]);
    shop.write("other.txt", other_text(&shop));
    shop.done("tokenizer --vocab-size 300 --out tokenizer.json other.txt", &[]);
    refused(&shop, file, &["tokenizer.file: tokenizer.json has changed since the run's data was made"]);
}

#[test]
fn a_prepared_folder_made_anew_is_refused_and_another_is_a_choice() {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 400 --out tokenizer.json text.txt", &[]);
    let prepare = "prepare --tokenizer tokenizer.json --documents line --overwrite";
    shop.done(&format!("{prepare} --out prepared text.txt"), &[]);
    let prepared = "--set data.prepared=prepared";
    shop.done(&format!("{LINE} {prepared}"), &[]);
    shop.write("other.txt", other_text(&shop));
    shop.done(&format!("{prepare} --out prepared other.txt"), &[]);
    refused(
        &shop,
        prepared,
        &["data.prepared: prepared holds other data than the run was trained on", "rename the folder"],
    );
    std::fs::rename(shop.path("prepared"), shop.path("more")).unwrap();
    let resumed = shop.done(&format!("{LINE} --resume --set train.steps=15 --set data.prepared=more"), &[]);
    assert!(resumed.stderr.contains("goes on with other data"), "{}", resumed.stderr);
}
