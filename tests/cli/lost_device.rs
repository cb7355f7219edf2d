//! A GPU that is lost, or hangs, while it works.

use crate::adapter;
use crate::metrics::{losses, steps};
use crate::resume::assert_same_end;
use crate::workshop::{Outcome, Workshop, outcome};

const LINE: &str = "train run.toml --device gpu --set train.micro_batch=4 --set model.dropout=0.1";

/// Runs a command whose device is lost, or hangs, at some submissions. It measures no kernels, which would submit work too.
fn struck(shop: &Workshop, fault: &str, line: &str) -> Outcome {
    let mut command = shop.command();
    command.env("CLOZE_TEST_FAULT", fault).env("CLOZE_VARIANTS", "default");
    outcome(command.args(line.split_whitespace()))
}

fn assert_same(shop: &Workshop, run: &str) {
    assert_same_end(shop, "whole", run, 12);
    assert_eq!(steps(shop, run), steps(shop, "whole"));
    assert_eq!(losses(shop, run), losses(shop, "whole"));
}

fn trained(shop: &Workshop) {
    // This checks the kernels, so that the other commands have no submissions for it.
    let whole = struck(shop, "lose:0", &format!("{LINE} --out whole"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
}

#[test]
fn training_goes_on_by_itself_with_the_same_bits() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    trained(&shop);
    // Before the first step, before the first checkpoint, and after it.
    let run = struck(&shop, "lose:1,20,70", &format!("{LINE} --out run"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    for from in ["its beginning, since nothing was saved yet", "its latest checkpoint"] {
        assert!(run.stderr.contains(&format!("training goes on from {from}")), "{}", run.stderr);
    }
    assert_same(&shop, "run");

    let often = struck(&shop, "lose:5,20,30", &format!("{LINE} --out often --set train.recoveries_per_hour=2"));
    assert_eq!(often.code, 1, "{}", often.stderr);
    let told =
        ["error: the device was lost", "(time 3 within an hour), and train.recoveries_per_hour is 2", "--resume"];
    assert!(told.iter().all(|part| often.stderr.contains(part)), "{}", often.stderr);
}

#[test]
fn every_command_says_that_the_device_was_lost() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    trained(&shop);
    shop.write("masked.txt", "The [MASK] was dark.");
    for line in [
        "eval whole text.txt --device gpu",
        "fill-mask whole The[MASK]was --device gpu",
        "embed whole masked.txt --device gpu",
        "bench layer_norm --device gpu",
        "bench train run.toml --device gpu",
    ] {
        let lost = struck(&shop, "lose:2", line);
        assert_eq!(lost.code, 1, "{line}: {}", lost.stderr);
        assert!(lost.stderr.contains("the device was lost"), "{line}: {}", lost.stderr);
        assert!(!lost.stderr.contains("panicked"), "{line}: {}", lost.stderr);
    }
}

#[test]
fn a_device_that_hangs_ends_the_process() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    trained(&shop);
    let hung = struck(&shop, "hang:60", &format!("{LINE} --out run --set train.hang_seconds=3"));
    assert_eq!(hung.code, 3, "{}", hung.stderr);
    assert!(hung.stderr.contains(" hangs: ") && hung.stderr.contains("--resume"), "{}", hung.stderr);
    let resumed = struck(&shop, "lose:0", &format!("{LINE} --out run --resume"));
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert_same(&shop, "run");
}
