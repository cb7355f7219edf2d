//! The command line from outside: help, usage errors, exit codes.

use assert_cmd::Command;

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

fn cloze(args: &[&str]) -> Outcome {
    let output = Command::new(crate::workshop::binary()).args(args).output().expect("cloze starts");
    Outcome {
        code: output.status.code().expect("no signal ends it"),
        stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it prints UTF-8"),
    }
}

#[test]
fn help_names_every_command_and_shows_examples() {
    let help = cloze(&["--help"]);
    assert_eq!(help.code, 0);
    for command in [
        "devices",
        "doctor",
        "tokenizer",
        "prepare",
        "train",
        "eval",
        "fill-mask",
        "embed",
        "import",
        "export",
        "bench",
        "completions",
    ] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command} is not in:\n{}", help.stdout);
    }
    assert!(help.stdout.contains("Examples:\n  cloze train configs/quickstart.toml "));
    assert!(cloze(&["train", "--help"]).stdout.contains("--set train.steps=500"));
}

#[test]
fn wrong_usage_exits_with_2() {
    for (args, message) in [
        (vec!["trian"], "unrecognized subcommand 'trian'"),
        (vec!["train"], "<CONFIG>"),
        (vec!["train", "a.toml", "--device", ""], "it is auto, cpu, gpu, or a number"),
        (vec!["fill-mask", "runs/a", "--top-k", "0"], "--top-k"),
        (vec!["devices", "-v", "-q"], "cannot be used with"),
    ] {
        let outcome = cloze(&args);
        assert_eq!(outcome.code, 2, "{args:?}");
        assert!(outcome.stderr.contains(message), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = cloze(&["completions", shell]);
        assert_eq!(script.code, 0, "{shell}");
        assert!(script.stdout.contains("fill-mask"), "{shell}");
    }
}
