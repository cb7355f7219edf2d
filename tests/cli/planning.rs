//! `train --plan`, and `train.micro_batch = "auto"`.

use crate::resume::assert_same_end;
use crate::workshop::Workshop;

#[test]
fn a_plan_needs_no_text_and_leaves_nothing() {
    let shop = Workshop::new();
    std::fs::remove_file(shop.path("text.txt")).unwrap();
    let plan = shop.done("train run.toml --device cpu --plan --json --set train.recompute=layer", &[]).json();
    let rows = plan["rows"].as_array().unwrap();
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("recompute"), ["none", "elementwise", "attention", "layer"]);
    assert_eq!(of("configured"), [false, false, false, true]);
    assert_eq!(of("auto_micro_batch"), [8, 8, 8, 8]);
    for row in rows {
        let parts = ["parameters", "gradients", "optimizer", "activations", "workspace"];
        let sum: u64 = parts.iter().map(|part| row["memory"][part].as_u64().unwrap()).sum();
        assert_eq!(row["peak_bytes"], sum);
        assert!(row["seconds"].as_f64().unwrap() > 0.0 && row["gflop"].as_f64().unwrap() > 0.0);
    }
    assert!(rows[3]["launches"].as_u64() > rows[0]["launches"].as_u64());
    let table = shop.done("train run.toml --device cpu --plan", &[]).stdout;
    assert!(table.contains("* none") && table.contains("  layer"), "{table}");
    assert!(!shop.path("runs").exists());
}

#[test]
fn a_plan_tells_what_does_not_fit() {
    let shop = Workshop::new();
    let sets = "--set model.hidden_size=8192 --set model.heads=64 --set model.layers=100";
    let plan = shop.run(&format!("train run.toml --device cpu --plan {sets}"), &[]);
    for recompute in ["none", "elementwise", "attention", "layer"] {
        let mut rows = plan.stdout.lines().map(|line| line.trim_start_matches(['*', ' ']).split_whitespace());
        let row = rows.find_map(|mut row| (row.next() == Some(recompute)).then(|| row.nth(1)));
        assert_eq!(row, Some(Some("none")), "{recompute} has an `auto`: {}", plan.stdout);
        assert!(plan.stdout.contains(&format!("\n{recompute} does not fit: training needs")), "{}", plan.stdout);
    }
    assert_eq!(plan.code, 1);
    assert!(
        plan.stderr.contains("error: nothing fits") && plan.stderr.contains("lower `model.layers`"),
        "{}",
        plan.stderr
    );
    // A training that no device could hold has no sizes, and no zeros are printed for them.
    let sets = "--set model.hidden_size=1048576 --set model.heads=8192 --set model.intermediate_size=64";
    let plan = shop.run(&format!("train run.toml --device cpu --plan {sets}"), &[]);
    assert!(plan.code == 1 && plan.stderr.contains("error: nothing fits"), "{}", plan.stderr);
    assert!(!plan.stdout.contains("up to 0 MiB") && !plan.stdout.contains(" 0.0"), "{}", plan.stdout);
    assert_eq!(shop.run(&format!("train run.toml --device cpu --plan --json {sets}"), &[]).code, 1);
}

#[test]
fn the_chosen_microbatch_is_kept() {
    let shop = Workshop::new();
    let line = "train run.toml --device cpu --set model.dropout=0.1";
    let whole = shop.done(&format!("{line} --set train.micro_batch=auto --out whole"), &[]);
    assert!(whole.stderr.contains("train.micro_batch: 8 of 8"), "{}", whole.stderr);
    assert!(shop.text("whole/config.toml").contains("micro_batch = 8"));
    // A run that began with another microbatch keeps it, whatever would fit now.
    shop.done(&format!("{line} --set train.micro_batch=4 --out four"), &[]);
    shop.copy("four", "run");
    std::fs::remove_dir_all(shop.path("run/checkpoints/step-000012")).unwrap();
    shop.done(&format!("{line} --set train.micro_batch=auto --out run --resume"), &[]);
    assert_same_end(&shop, "four", "run", 12);
    assert!(shop.text("run/config.toml").contains("micro_batch = 4"));
}
