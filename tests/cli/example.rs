//! Runs the examples as they were compiled.

use assert_cmd::Command;

#[test]
fn masked_lm_learns_its_sentence() {
    // Examples are built with the tests, into the folder beside that of the test binaries.
    let target = std::path::Path::new(env!("CARGO_BIN_EXE_cloze")).parent().unwrap();
    let program = target.join("examples").join(format!("masked_lm{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(output.status.success());

    let stdout = String::from_utf8(output.stdout).unwrap();
    let losses: Vec<f64> = stdout.lines().filter_map(|line| line.split_once("loss ")?.1.parse().ok()).collect();
    assert!(losses[0] > 6.0 && losses[losses.len() - 1] < losses[0], "{stdout}");
    let best = stdout.lines().find(|line| line.starts_with("token")).unwrap();
    assert!(best.starts_with("token  59  "), "{stdout}");
}
