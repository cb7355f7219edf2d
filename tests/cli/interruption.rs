//! Signals: SIGTERM ends a run in good order, and SIGKILL may end it in the middle of anything.

#![cfg(unix)]

use crate::metrics::steps;
use crate::resume::assert_same_end;
use crate::workshop::{Workshop, names};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const LINE: &str =
    "train run.toml --device cpu --set train.steps=300 --set model.dropout=0.1 --set checkpoint.every=25";

fn start(shop: &Workshop, more: &str) -> Child {
    let mut command = Command::new(crate::workshop::binary());
    command.args(LINE.split_whitespace()).args(more.split_whitespace()).current_dir(shop.path("."));
    command.env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the run that `child` trains has measured `count` steps or validations.
fn await_lines(shop: &Workshop, child: &mut Child, count: usize) {
    let path = shop.path("run/metrics.jsonl");
    await_that(child, || std::fs::read_to_string(&path).unwrap_or_default().lines().count() >= count);
}

fn await_that(child: &mut Child, happened: impl Fn() -> bool) {
    while !happened() {
        assert_eq!(child.try_wait().unwrap(), None, "the process has ended early");
        sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "the process has ended before the signal");
}

#[test]
fn sigterm_saves_and_says_how_to_go_on() {
    let shop = Workshop::new();
    shop.done(&format!("{LINE} --out whole"), &[]);
    let mut child = start(&shop, "--out run");
    await_lines(&shop, &mut child, 5);
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let (_, line) = stderr.trim_end().split_once("go on with: cloze ").unwrap_or_else(|| panic!("{stderr}"));
    assert_eq!(line, "train run/config.toml --out run --device cpu --resume");
    let saved = names(shop.path("run/checkpoints")).pop().unwrap();
    assert!(saved.as_str() < "step-000300", "it was not interrupted");

    let resumed = shop.done(line, &[]);
    assert!(!resumed.stderr.contains("differs"), "{}", resumed.stderr);
    assert_same_end(&shop, "whole", "run", 300);
    assert_eq!(steps(&shop, "run"), steps(&shop, "whole"));
}

/// Tests SIGHUP, as from a terminal that is closed.
#[test]
fn sighup_saves_too_but_not_under_nohup() {
    let shop = Workshop::new();
    let mut child = start(&shop, "--out run");
    await_lines(&shop, &mut child, 5);
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!names(shop.path("run/checkpoints")).is_empty(), "its state is not saved");
    std::fs::remove_dir_all(shop.path("run")).unwrap();

    let mut command = Command::new("nohup");
    command.arg(crate::workshop::binary()).args(LINE.split_whitespace()).args(["--out", "run"]);
    command.current_dir(shop.path(".")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    await_lines(&shop, &mut child, 5);
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A validation that a signal cut short is done again before the next step.
#[test]
fn a_signal_cuts_a_validation_short() {
    let shop = Workshop::new();
    let line = "--set train.steps=2 --set validation.every=1 --set data.validation_fraction=0.5 \
                --set validation.max_sequences=100000";
    let text = shop.text("text.txt");
    shop.write("text.txt", vec![text; 40].join("\n"));
    shop.done(&format!("{LINE} {line} --out whole"), &[]);
    let mut child = start(&shop, &format!("{line} --out run"));
    // The line of a step is written when its validation begins.
    await_lines(&shop, &mut child, 1);
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(steps(&shop, "run"), [vec![1], vec![]], "the validation went on to its end");
    shop.done(&format!("{LINE} {line} --out run --resume"), &[]);
    assert_same_end(&shop, "whole", "run", 2);
    assert_eq!(steps(&shop, "run"), steps(&shop, "whole"));
}

#[test]
fn a_signal_while_a_tokenizer_is_learnt_ends_at_once() {
    let shop = Workshop::new();
    let text = shop.text("text.txt");
    shop.write("text.txt", vec![text; 300].join("\n"));
    let mut child = start(&shop, "--out run --set tokenizer.kind=unigram --set tokenizer.vocab_size=300");
    await_that(&mut child, || shop.path("run/config.toml").exists());
    sleep(Duration::from_millis(300));
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(!stderr.contains("error"), "the tokenizer was learnt to its end, and its user interrupted: {stderr}");
    assert!(!names(shop.path("run")).iter().any(|name| name.contains("data")), "{stderr}");
}

#[test]
fn sigterm_while_the_text_is_read_leaves_nothing_half_done() {
    let shop = Workshop::new();
    let text = shop.text("text.txt");
    shop.write("text.txt", vec![text; 400].join("\n"));
    let mut child = start(&shop, "--out run --set tokenizer.vocab_size=64");
    let in_run = || if shop.path("run").exists() { names(shop.path("run")) } else { Vec::new() };
    await_that(&mut child, || in_run().iter().any(|name| name.starts_with(".data.partial")));
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!in_run().iter().any(|name| name.contains("data")), "{:?}", in_run());
}

#[test]
fn a_signal_while_a_model_is_exported_leaves_nothing_behind() {
    let shop = Workshop::new();
    let size = "--set model.hidden_size=768 --set model.layers=4 --set model.heads=12 --set train.steps=1";
    shop.done(&format!("{LINE} {size} --set validation.max_sequences=8 --out run"), &[]);
    let mut command = Command::new(crate::workshop::binary());
    command.args(["export", "run", "out"]).current_dir(shop.path("."));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let left = || names(shop.path(".")).into_iter().filter(|name| name.contains("out")).collect::<Vec<_>>();
    await_that(&mut child, || left().iter().any(|name| name.starts_with(".out.partial-")));
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(left(), [""; 0]);
}

/// The run is killed at several moments: while it starts, while it prepares its text, in the first steps, and near a
/// checkpoint.
#[test]
fn sigkill_at_any_moment_costs_only_time() {
    let shop = Workshop::new();
    shop.done(&format!("{LINE} --out whole"), &[]);
    for kill in 0..6 {
        let saved = shop.path("run/checkpoints").exists()
            && names(shop.path("run/checkpoints")).iter().any(|name| name.starts_with("step-"));
        let resume = if saved { "--resume" } else { "" };
        let mut child = start(&shop, &format!("--out run {resume}"));
        match kill {
            0 => sleep(Duration::from_millis(5)),
            1 => sleep(Duration::from_millis(60)),
            2 => await_lines(&shop, &mut child, 2),
            // The checkpoints of steps 25, 50 and 75 are then being written, or just written.
            _ => await_lines(&shop, &mut child, 25 * (kill - 2)),
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = shop.done(&format!("{LINE} --out run --resume"), &[]);
    assert!(!last.stderr.contains("damaged"), "{}", last.stderr);
    assert_same_end(&shop, "whole", "run", 300);
    assert_eq!(steps(&shop, "run"), steps(&shop, "whole"));
}
