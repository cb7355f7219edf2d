//! Keys and flags under the names that they had in earlier versions.

use crate::resume::assert_same_end;
use crate::workshop::{Workshop, names};

const KEYS: [(&str, &str); 3] =
    [("clip", "grad_clip"), ("window", "sliding_window"), ("token_types", "type_vocab_size")];

/// Rewrites the config of a run, and those of its checkpoints, as an earlier version wrote them.
fn age(shop: &Workshop, run: &str) {
    let config = shop.text(&format!("{run}/config.toml"));
    let aged =
        KEYS.iter().fold(config, |text, (old, new)| replaced(&text, &format!("\n{new} = "), &format!("\n{old} = ")));
    shop.write(&format!("{run}/config.toml"), aged);
    let checkpoints = names(shop.path(&format!("{run}/checkpoints")));
    for checkpoint in checkpoints.iter().map(|name| format!("{run}/checkpoints/{name}")) {
        let mut config = shop.text(&format!("{checkpoint}/config.json"));
        for (old, new) in &KEYS[1..] {
            // In the section `cloze`, behind the family's own keys.
            let at = config.find("\"cloze\"").unwrap();
            config = config[..at].to_string() + &replaced(&config[at..], &format!("\"{new}\""), &format!("\"{old}\""));
        }
        shop.forge(&checkpoint, "config.json", config.as_bytes());
    }
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

#[test]
fn a_run_of_an_earlier_version_goes_on_without_a_word() {
    let shop = Workshop::new();
    let sets = "--set model.window=8 --set model.token_types=2 --set train.clip=0.5";
    let began = shop.done(&format!("train run.toml --device cpu --out whole {sets}"), &[]).stderr;
    for (old, new) in [("model.window", "model.sliding_window"), ("train.clip", "train.grad_clip")] {
        assert_eq!(began.matches(&format!("warning: {old} is called {new} now")).count(), 1, "{began}");
    }
    shop.copy("whole", "run");
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    age(&shop, "run");
    shop.copy("run", "again");
    let resumed = shop.done("train run/config.toml --device cpu --out run --resume", &[]).stderr;
    assert!(resumed.contains("resuming after step 8") && !resumed.contains("warning"), "{resumed}");
    assert_same_end(&shop, "whole", "run", 12);
    let again = shop.done(&format!("train run.toml --device cpu --out again --resume {sets}"), &[]).stderr;
    assert!(!again.contains("differs"), "{again}");
}

#[test]
fn a_model_of_an_earlier_version_is_read() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run --set model.sliding_window=8 --set train.steps=2", &[]);
    let eval = "eval run text.txt --device cpu --json --max-sequences 8";
    let before = shop.done(eval, &[]).stdout;
    age(&shop, "run");
    assert_eq!(shop.done(eval, &[]).stdout, before);
    shop.done("export run exported", &[]);
    let tuned =
        shop.done("train run.toml --device cpu --out tuned --set model.init=run --set train.steps=1", &[]).stderr;
    assert!(!tuned.contains("warning"), "{tuned}");
}

#[test]
fn flags_by_their_old_names_do_the_same_and_are_told() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --out run --set train.steps=2", &[]);
    let eval = "eval run text.txt --device cpu --json --max-sequences 8";
    let new = shop.done(&format!("{eval} --mask-rate 0.3 --documents line"), &[]);
    let old = shop.done(&format!("{eval} --rate 0.3 --split=line"), &[]);
    assert_eq!(old.stdout, new.stdout);
    assert_ne!(old.stdout, shop.done(eval, &[]).stdout);
    assert!(!new.stderr.contains("is called"), "{}", new.stderr);
    for note in ["warning: --rate is called --mask-rate now", "warning: --split is called --documents now"] {
        assert_eq!(old.stderr.matches(note).count(), 1, "{}", old.stderr);
    }
    let usage = shop.run(&format!("{eval} --rate much"), &[]).stderr;
    assert!(usage.contains("--rate is called --mask-rate now") && usage.contains("'much'"), "{usage}");
    for command in ["eval", "prepare"] {
        let help = shop.done(&format!("{command} --help"), &[]).stdout;
        assert!(help.contains("--documents ") && !help.contains("--split") && !help.contains("--rate"), "{help}");
    }
}
