//! Standard output and standard error that nobody reads, or that go to a full disk; and threads that can't be started.

#![cfg(target_os = "linux")]

use crate::workshop::{Workshop, binary};
use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The write end of a pipe whose read end is closed.
fn gone() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn command(shop: &Workshop, line: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(line.split_whitespace()).current_dir(shop.path(".")).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

const TELL: [&str; 7] = [
    "devices",
    "--help",
    "--version",
    "completions bash",
    "tokenizer --vocab-size 300 --out t.json text.txt",
    "prepare --tokenizer t.json --out prepared --overwrite text.txt",
    "train run.toml --plan --device cpu",
];

#[test]
fn a_full_disk_is_an_error_and_a_reader_that_has_gone_is_none() {
    let shop = Workshop::new();
    shop.done("tokenizer --vocab-size 300 --out t.json text.txt", &[]);
    for line in TELL {
        let ended = command(&shop, line).stdout(full()).output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{line}: {stderr}");
        assert!(stderr.contains("error: standard output: No space left on device"), "{line}: {stderr}");

        let ended = command(&shop, line).stdout(gone()).output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{line}: {stderr}");
        assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{line}: {stderr}");
    }
}

#[test]
fn an_error_that_nobody_reads_is_still_told_by_the_exit_code() {
    let shop = Workshop::new();
    for (line, code) in
        [("train gone.toml", 1), ("nonsense", 2), ("fill-mask gone [MASK]", 1), ("train run.toml --device cpu", 0)]
    {
        for stderr in [Stdio::from(full()), gone()] {
            let _ = std::fs::remove_dir_all(shop.path("runs"));
            let ended = command(&shop, line).stdout(Stdio::null()).stderr(stderr).status().unwrap();
            assert_eq!(ended.code(), Some(code), "{line}");
        }
    }
}

/// Stacks larger than any address space stand for a limit on threads, since such a limit does not apply to every user.
#[test]
fn without_threads_one_computes_or_says_why_it_cannot() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set train.steps=1", &[]);
    let run = |line: &str| {
        let ended = command(&shop, line).env("RUST_MIN_STACK", (1u64 << 46).to_string()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, stderr) = run("embed runs/run text.txt --device cpu");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("warning: no threads to compute with"), "{stderr}");
    for line in ["train run.toml --device cpu --out other", "prepare --tokenizer gone/tokenizer.json --out p text.txt"]
    {
        let line = line.replace("gone", "runs/run/checkpoints/step-000001");
        let (code, stderr) = run(&line);
        assert_eq!(code, Some(1), "{line}: {stderr}");
        assert!(stderr.contains("no thread") && !stderr.contains("panicked"), "{line}: {stderr}");
    }
}
