//! Messages about the numbers of a training that continues, or that can't.

use crate::refusals::refused;
use crate::workshop::Workshop;

/// The learning rate has fallen to its end, and rises again when the run is given more steps.
#[test]
fn a_jump_of_the_learning_rate_is_said() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run", &[]);
    shop.copy("run", "longer");
    let longer = shop.done("train run.toml --device cpu --out longer --resume --set train.steps=24", &[]).stderr;
    let words = "the learning rate goes from 9.09e-4 to 5.22e-3 at step 13, since train.steps is 24, and was 12";
    assert!(longer.contains(words), "{longer}");

    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    let same = shop.done("train run.toml --device cpu --out run --resume", &[]).stderr;
    assert!(same.contains("resuming after step 8") && !same.contains("the learning rate goes"), "{same}");
}

/// No learning rate and no loss scale helps where activations themselves are too large for f16.
#[test]
fn an_overflow_of_f16_is_called_that() {
    let shop = Workshop::new();
    let sets = "--set train.precision=f16 --set model.initializer_range=3000 --set train.max_skipped_steps=3";
    let words =
        ["since the loss itself is not finite, at loss scale", "too large for f16", "train.precision = \"f32\""];
    refused(&shop, &format!("train run.toml --device cpu {sets}"), &words);
}
