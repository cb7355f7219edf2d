//! A config in another folder finds the files beside it.

use crate::workshop::{CONFIG, Workshop};
use std::fs::{create_dir, rename};

fn shop() -> Workshop {
    let shop = Workshop::new();
    create_dir(shop.path("other")).unwrap();
    rename(shop.path("run.toml"), shop.path("other/run.toml")).unwrap();
    shop
}

#[test]
fn beside_the_config_first_then_in_the_current_folder() {
    let shop = shop();
    // The text is only in the current folder.
    shop.done("train other/run.toml --device cpu --set train.steps=1 --out here", &[]);
    assert!(shop.text("here/config.toml").contains("\"text.txt\""));

    // It is in both: the one in the config's folder is taken, and the log says so.
    shop.write("other/text.txt", shop.text("text.txt"));
    let both = shop.done("train other/run.toml --device cpu --set train.steps=1 --out both", &[]).stderr;
    assert!(both.contains("data.train: `text.txt` is there beside the config and in the current directory"), "{both}");
    assert!(shop.text("both/config.toml").contains("other/text.txt"));

    // It is only beside the config; a pattern finds it too.
    std::fs::remove_file(shop.path("text.txt")).unwrap();
    let beside = shop.done("train other/run.toml --device cpu --out beside --set train.steps=1", &[]).stderr;
    assert!(!beside.contains("is there beside"), "{beside}");
    shop.write("other/run.toml", CONFIG.replace("text.txt", "*.txt"));
    shop.done("train other/run.toml --device cpu --out pattern --set train.steps=1", &[]);
    // A path on the command line is relative to the current folder.
    let typed = shop.run("train other/run.toml --device cpu --out typed --set data.train=[\"text.txt\"]", &[]);
    assert!(typed.code == 1 && typed.stderr.contains("text.txt"), "{}", typed.stderr);
}

/// The paths in a run's config are relative to the folder where the run began, not to the run's folder, which has its own
/// `data`.
#[test]
fn the_config_that_a_run_keeps_means_what_it_meant() {
    let shop = Workshop::new();
    create_dir(shop.path("data")).unwrap();
    rename(shop.path("text.txt"), shop.path("data/text.txt")).unwrap();
    shop.done("train run.toml --device cpu --out run --set data.train=[\"data\"]", &[]);
    let resumed = shop.done("train run/config.toml --device cpu --out run --resume --set train.steps=14", &[]).stderr;
    assert!(resumed.contains("resuming after step 12") && !resumed.contains("is there beside"), "{resumed}");
}
