//! Files that commands write: what they replace, and who may read them.

#![cfg(unix)]

use crate::workshop::{Workshop, names};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::Command;

const TOKENIZER: &str = "tokenizer --vocab-size 400 text.txt --out";

fn mode(shop: &Workshop, name: &str) -> u32 {
    std::fs::metadata(shop.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_tokenizer_is_readable_as_any_new_file_and_keeps_its_permissions() {
    let shop = Workshop::new();
    shop.done(&format!("{TOKENIZER} tokenizer.json"), &[]);
    assert_eq!(mode(&shop, "tokenizer.json"), mode(&shop, "text.txt"));
    std::fs::set_permissions(shop.path("tokenizer.json"), PermissionsExt::from_mode(0o660)).unwrap();
    shop.done(&format!("{TOKENIZER} tokenizer.json"), &[]);
    assert_eq!(mode(&shop, "tokenizer.json"), 0o660);
    assert!(!names(shop.path(".")).iter().any(|name| name.contains("partial")));
}

#[test]
fn links_are_followed_and_pipes_stay() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run --set train.steps=1", &[]);
    symlink("elsewhere", shop.path("link")).unwrap();
    assert!(Command::new("mkfifo").arg(shop.path("pipe")).status().unwrap().success());
    for command in [TOKENIZER, "embed run text.txt --device cpu --out"] {
        shop.done(&format!("{command} link"), &[]);
        assert!(shop.path("link").is_symlink() && shop.path("elsewhere").is_file(), "{command}");
        std::fs::remove_file(shop.path("elsewhere")).unwrap();

        let refused = shop.run(&format!("{command} pipe"), &[]);
        assert_eq!(refused.code, 1, "{command}: {}", refused.stderr);
        assert!(refused.stderr.contains("pipe: is a device or a pipe"), "{command}: {}", refused.stderr);
        assert!(std::fs::metadata(shop.path("pipe")).unwrap().file_type().is_fifo(), "{command}");
    }
}

/// The memory that `ulimit` allows counts as the free memory.
#[cfg(target_os = "linux")]
#[test]
fn a_training_beyond_the_limits_of_its_process_is_refused_with_figures() {
    let shop = Workshop::new();
    let sets = "--set model.hidden_size=512 --set model.layers=8 --set model.heads=8 --set train.batch_size=64";
    let line = format!(
        "ulimit -v 600000; exec {} train run.toml --device cpu --out run {sets}",
        crate::workshop::binary().display()
    );
    let output = Command::new("sh").args(["-c", &line]).current_dir(shop.path(".")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("training needs") && stderr.contains("MiB"), "{stderr}");
}
