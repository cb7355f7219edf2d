//! Folders of prepared data, damaged in every file.

use super::refused;
use crate::workshop::{Workshop, names};

fn prepared() -> Workshop {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 300 text.txt", &[]);
    shop.done("prepare --tokenizer tokenizer.json --out prepared --documents line text.txt", &[]);
    shop
}

#[test]
fn a_bit_flipped_or_an_end_cut_off() {
    let shop = prepared();
    for name in names(shop.path("prepared")) {
        let file = format!("prepared/{name}");
        let good = shop.read(&file);
        let mut flipped = good.clone();
        flipped[good.len() / 3] ^= 0x10;
        for damaged in [&flipped[..], &good[..good.len() / 2], b""] {
            shop.write(&file, damaged);
            refused(
                &shop,
                "train run.toml --device cpu --set data.prepared=prepared",
                &["prepared/", "damaged", "run `cloze prepare` again with --overwrite"],
            );
        }
        std::fs::remove_file(shop.path(&file)).unwrap();
        refused(&shop, "train run.toml --device cpu --set data.prepared=prepared", &["prepared", "cloze prepare"]);
        shop.write(&file, good);
    }
    shop.done("train run.toml --device cpu --set data.prepared=prepared --set train.steps=1", &[]);
}

#[test]
fn folders_that_do_not_suit() {
    let shop = prepared();
    let set = "train run.toml --device cpu --set data.prepared";
    refused(&shop, &format!("{set}=missing"), &["missing", "not a prepared folder", "run `cloze prepare`"]);
    refused(&shop, &format!("{set}=text.txt"), &["text.txt", "name a folder, not a file"]);
    let again = "prepare --tokenizer tokenizer.json --out prepared text.txt";
    refused(&shop, again, &["prepared", "--overwrite"]);
    shop.done(&format!("{again} --overwrite"), &[]);

    shop.done("train run.toml --device cpu --set train.steps=1", &[]);
    let words = ["prepared", "another tokenizer than the model's", "step-000001/tokenizer.json"];
    refused(&shop, "eval runs/run prepared --device cpu", &words);
}
