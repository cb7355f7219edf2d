//! A resumed run ends with the bits of one that was never interrupted.

use crate::adapter;
use crate::metrics::{losses, steps};
use crate::workshop::{Workshop, names};

/// A config with everything that is random, and with more than one microbatch per step.
const SETTINGS: &str = "--set train.steps=6 --set train.micro_batch=4 --set model.dropout=0.1 \
                        --set model.attention_dropout=0.1 --set checkpoint.every=1 --set checkpoint.keep=10";

#[test]
fn from_any_step_on_the_cpu() {
    from_any_step("cpu");
}

#[test]
fn from_any_step_on_the_gpu() {
    if adapter::present() {
        from_any_step("gpu");
    }
}

/// The loss scale and its count of steps are part of the saved state.
#[test]
fn from_any_step_in_f16() {
    from_any_step("cpu --set train.precision=f16");
}

#[test]
fn from_any_step_in_f16_on_the_gpu() {
    if adapter::present() {
        from_any_step("gpu --set train.precision=f16");
    }
}

fn from_any_step(device: &str) {
    let shop = Workshop::new();
    let line = format!("train run.toml --device {device} {SETTINGS}");
    shop.done(&format!("{line} --out whole"), &[]);
    for step in 1..6 {
        let run = format!("from-{step}");
        shop.copy("whole", &run);
        for later in step + 1..=6 {
            std::fs::remove_dir_all(shop.path(&format!("{run}/checkpoints/step-00000{later}"))).unwrap();
        }
        shop.done(&format!("{line} --out {run} --resume"), &[]);
        assert_same_end(&shop, "whole", &run, 6);
        assert_eq!(steps(&shop, &run), steps(&shop, "whole"));
    }
}

/// Compares the last checkpoint of two runs, bit by bit.
pub fn assert_same_end(shop: &Workshop, one: &str, other: &str, step: u64) {
    for file in ["model.safetensors", "training.safetensors", "optimizer.bin", "unigram.bin", "tokenizer.json"] {
        let of = |run: &str| shop.read(&format!("{run}/checkpoints/step-{step:06}/{file}"));
        assert!(of(one) == of(other), "{file} of {other} is not that of {one}");
    }
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let before = names(shop.path("run/checkpoints"));
    let again = shop.done("train run.toml --device cpu --out run --resume", &[]);
    assert!(again.stdout.starts_with("run had reached its last step already"), "{}", again.stdout);
    assert_eq!(names(shop.path("run/checkpoints")), before);
}

/// The run is given more steps than at first: it continues with the rest of the new schedule.
#[test]
fn a_run_can_be_made_longer() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let longer = shop.done("train run.toml --device cpu --out run --resume --set train.steps=15", &[]);
    assert!(longer.stderr.contains("the config differs"), "{}", longer.stderr);
    assert_eq!(steps(&shop, "run")[0], (1..=15).collect::<Vec<u64>>());
}

/// A run is resumed with smaller microbatches, as on a device that turns out to be too small: the same sequences come next, and
/// dropout drops the same values.
#[test]
fn a_smaller_microbatch_goes_on_with_the_same_text_and_dropout() {
    let shop = Workshop::new();
    let line = "train run.toml --device cpu --set model.dropout=0.1 --set model.attention_dropout=0.1";
    shop.done(&format!("{line} --out whole"), &[]);
    shop.copy("whole", "run");
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    shop.done(&format!("{line} --out run --resume --set train.micro_batch=2"), &[]);
    for (whole, resumed) in losses(&shop, "whole").iter().zip(losses(&shop, "run")) {
        assert!((whole - resumed).abs() < 1e-4 * whole, "{whole} and {resumed}");
    }
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out whole", &[]);
    for file in ["model.safetensors", "training.safetensors", "optimizer.bin", "manifest.json", "config.json"] {
        let run = format!("without-{file}");
        shop.copy("whole", &run);
        let name = format!("{run}/checkpoints/step-000012/{file}");
        let mut bytes = shop.read(&name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        shop.write(&name, bytes);
        let resumed = shop.done(&format!("train run.toml --device cpu --out {run} --resume"), &[]);
        assert!(resumed.stderr.contains("passing over a damaged checkpoint"), "{file}: {}", resumed.stderr);
        assert!(resumed.stderr.contains("resuming after step 8"), "{file}: {}", resumed.stderr);
        assert_same_end(&shop, "whole", &run, 12);
    }
}

/// Whatever is wrong with its checkpoints, no file of the run is emptied either.
#[test]
fn a_resume_never_begins_anew() {
    let shop = Workshop::new();
    let trained = || {
        let _ = std::fs::remove_dir_all(shop.path("run"));
        shop.done("train run.toml --device cpu --out run", &[]);
    };
    let refused = |words: &str| {
        let before = (names(shop.path("run")), shop.read("run/metrics.jsonl"));
        let outcome = shop.run("train run.toml --device cpu --out run --resume --set train.steps=15", &[]);
        assert_eq!(outcome.code, 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(before == (names(shop.path("run")), shop.read("run/metrics.jsonl")), "it changed the run");
    };
    trained();
    for step in [6, 8, 12] {
        shop.write(&format!("run/checkpoints/step-{step:06}/model.safetensors"), "gone");
    }
    refused("run: has no checkpoint that is whole");

    trained();
    std::fs::remove_dir_all(shop.path("run/checkpoints")).unwrap();
    std::fs::create_dir(shop.path("run/checkpoints")).unwrap();
    refused("run: has no checkpoint to go on from; leave out --resume to begin it anew");
}

/// A disk or a network share fails for a while. Resuming from an older checkpoint would waste the steps that are only hidden.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_read_now_is_not_passed_over() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    let file = shop.path("run/checkpoints/step-000012/training.safetensors");
    std::fs::rename(&file, shop.path("aside")).unwrap();
    std::os::unix::fs::symlink("training.safetensors", &file).unwrap();
    let line = "train run.toml --device cpu --out run --resume --set train.steps=15";
    let outcome = shop.run(line, &[]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    let words = "step-000012: cannot be read now, which is no damage";
    assert!(outcome.stderr.contains(words) && outcome.stderr.contains("try again"), "{}", outcome.stderr);
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(shop.path("aside"), &file).unwrap();
    let resumed = shop.done(line, &[]);
    assert!(resumed.stderr.contains("resuming after step 12"), "{}", resumed.stderr);
    assert_eq!(steps(&shop, "run")[0], (1..=15).collect::<Vec<u64>>());
}

/// Its intervals need not meet.
#[test]
fn the_best_validation_is_saved_at_once_and_what_is_taken_is_said() {
    let shop = Workshop::new();
    let line = "train run.toml --device cpu --out run --set validation.every=5 --set checkpoint.every=100";
    shop.done(&format!("{line} --set train.steps=7"), &[]);
    assert_eq!(names(shop.path("run/checkpoints")), ["step-000005", "step-000007"]);
    let best = shop.done("fill-mask run [MASK] --device cpu", &[]);
    assert!(best.stderr.contains("step-000007, the best of the run (validation loss "), "{}", best.stderr);
    let named = shop.done("fill-mask run/checkpoints/step-000005 [MASK] --device cpu", &[]);
    assert!(!named.stderr.contains("of the run"), "{}", named.stderr);
}

#[test]
fn the_prepared_text_is_made_again_when_it_is_gone() {
    let shop = Workshop::new();
    let line = "train run.toml --device cpu --set tokenizer.kind=unigram";
    shop.done(&format!("{line} --out whole"), &[]);
    shop.copy("whole", "run");
    std::fs::remove_dir_all(shop.path("run/data")).unwrap();
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    shop.done(&format!("{line} --out run --resume"), &[]);
    assert_same_end(&shop, "whole", "run", 12);
}
