//! A file operation fails, or the process is killed right before it. Nothing that was there may be lost or half written, and a
//! training must end with the same bits as one that was undisturbed. One operation of each kind is tried. If a training does
//! the same to the same file several times, it is the second time, when there is something to lose.

use crate::metrics::steps;
use crate::resume::assert_same_end;
use crate::tensorboard::assert_shows_the_metrics;
use crate::workshop::{Workshop, names};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const TRAIN: &str = "train run.toml --device cpu --set train.steps=9 --set validation.every=3 --set checkpoint.every=3 \
                     --set checkpoint.keep=1 --set train.tensorboard=true --out";

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The process is killed right before the operation.
    Kill,
    /// The operation fails with this error number of the operating system.
    Error(i32),
}

const NO_SPACE: Fault = Fault::Error(28);
const NO_INPUT: Fault = Fault::Error(5);

/// A command. One of its file operations below `folder` can be made to fail, or to be the end of the process.
struct Struck<'a> {
    shop: &'a Workshop,
    folder: PathBuf,
    line: String,
}

/// How a command ended: its exit code (if no signal ended it), its standard error, and its file operations.
struct End {
    code: Option<i32>,
    stderr: String,
    operations: Vec<String>,
}

#[test]
fn a_training_that_is_killed_at_any_kind_of_operation() {
    a_training_survives(Fault::Kill);
}

#[test]
fn a_training_on_a_disk_that_is_full_at_any_kind_of_operation() {
    a_training_survives(NO_SPACE);
}

fn a_training_survives(fault: Fault) {
    let shop = Workshop::new();
    let training = Struck::new(&shop, TRAIN, "run", "run");
    let points = training.points();
    fs::rename(shop.path("run"), shop.path("whole")).unwrap();
    for (kind, at) in points {
        let end = training.strike(fault, &kind, at);
        end.assert_in_order(&kind);
        let saved = saved(&shop);
        if saved {
            shop.done("fill-mask run The[MASK]was --device cpu", &[]);
        }
        let again = shop.run(TRAIN, if saved { &["run", "--resume"] } else { &["run"] });
        assert_eq!(again.code, 0, "{kind}: {}; then {}", end.stderr, again.stderr);
        assert_as_whole(&shop);
        fs::remove_dir_all(shop.path("run")).unwrap();
    }
}

#[test]
fn a_resume_that_can_not_read_or_write_at_any_kind_of_operation() {
    let shop = Workshop::new();
    shop.done(TRAIN, &["whole"]);
    // As if it was killed while it saved after step 6, and in the middle of a line.
    let begun = Struck::new(&shop, TRAIN, "run", "run");
    begun.strike(Fault::Kill, "create /checkpoints/.tmp-step-/optimizer.bin", 2);
    shop.write("run/metrics.jsonl", shop.text("run/metrics.jsonl") + "{\"step\":7,\"tok");
    fs::rename(shop.path("run"), shop.path("killed")).unwrap();

    shop.copy("killed", "run");
    let line = TRAIN.replace("--out", "--resume --out");
    let resumed = Struck::new(&shop, &line, "run", "run");
    for (kind, at) in resumed.points() {
        fs::remove_dir_all(shop.path("run")).unwrap();
        shop.copy("killed", "run");
        let end = resumed.strike(NO_INPUT, &kind, at);
        end.assert_in_order(&kind);
        assert!(end.code != Some(0) || end.stderr.contains("resuming after step 3"), "{kind}: {}", end.stderr);
        shop.done(&line, &["run"]);
        assert_as_whole(&shop);
    }
}

#[test]
fn what_a_command_replaces_is_the_old_or_the_new_one() {
    let shop = Workshop::new();
    shop.done(TRAIN, &["trained"]);
    shop.write("longer.txt", shop.text("text.txt").repeat(2));
    let prepare = "prepare --tokenizer trained/data/tokenizer.json --documents line";
    let embed = "embed trained text.txt --device cpu";
    for (old, new) in [
        (format!("{prepare} text.txt --out"), format!("{prepare} longer.txt --overwrite --out")),
        ("tokenizer --vocab-size 300 text.txt --out".into(), "tokenizer --vocab-size 500 text.txt --out".into()),
        (String::new(), "export --max-shard-size 20KB trained".into()),
        (format!("{embed} --out"), format!("{embed} --normalize --out")),
    ] {
        fs::create_dir(shop.path("start")).unwrap();
        if !old.is_empty() {
            shop.done(&old, &["start/x"]);
        }
        let before = content(&shop.path("start/x"));
        shop.copy("start", "out");
        let command = Struck::new(&shop, &new, "out/x", "out");
        let points = command.points();
        let after = content(&shop.path("out/x"));
        for (fault, (kind, at)) in
            [Fault::Kill, NO_SPACE].into_iter().flat_map(|fault| points.iter().map(move |point| (fault, point)))
        {
            fs::remove_dir_all(shop.path("out")).unwrap();
            shop.copy("start", "out");
            let end = command.strike(fault, kind, *at);
            end.assert_in_order(kind);
            if new.contains("--overwrite") && !shop.path("out/x").exists() {
                // It was killed after the old folder was moved away and before the new one was there: the next reader puts it
                // back.
                shop.done("eval trained out/x --device cpu", &[]);
            }
            let found = content(&shop.path("out/x"));
            let right = if end.code == Some(0) { found == after } else { found == after || found == before };
            assert!(right, "{new}: {kind}, {fault:?}: {}", end.stderr);
        }
        fs::remove_dir_all(shop.path("start")).unwrap();
        fs::remove_dir_all(shop.path("out")).unwrap();
    }
}

fn assert_as_whole(shop: &Workshop) {
    assert_same_end(shop, "whole", "run", 9);
    assert_eq!(steps(shop, "run"), steps(shop, "whole"));
    assert_shows_the_metrics(shop, "run");
}

/// Whether the folder `run` has a checkpoint.
fn saved(shop: &Workshop) -> bool {
    let folder = shop.path("run/checkpoints");
    folder.exists() && names(folder).iter().any(|name| name.starts_with("step-") || name.starts_with(".old-step-"))
}

/// A file's bytes, or those of all files in a folder by name; nothing if the path does not exist.
fn content(path: &Path) -> BTreeMap<String, Vec<u8>> {
    if path.is_dir() {
        return names(path).into_iter().map(|name| (name.clone(), fs::read(path.join(name)).unwrap())).collect();
    }
    fs::read(path).into_iter().map(|bytes| (String::new(), bytes)).collect()
}

impl<'a> Struck<'a> {
    /// `line` with the path of `out` after it.
    fn new(shop: &'a Workshop, line: &str, out: &str, folder: &str) -> Self {
        Struck { shop, folder: shop.path(folder), line: format!("{line} {}", shop.path(out).display()) }
    }

    /// The kinds of its operations, as the shim names them, each with the number of the one to strike.
    fn points(&self) -> BTreeMap<String, usize> {
        let end = self.run(&[]);
        assert_eq!(end.code, Some(0), "{}: {}", self.line, end.stderr);
        let mut found = BTreeMap::<String, usize>::new();
        for operation in end.operations {
            *found.entry(operation).or_default() += 1;
        }
        assert!(found.len() > 5, "{}: few operations were seen: {found:?}", self.line);
        found.into_iter().map(|(kind, count)| (kind, count.min(2))).collect()
    }

    /// Runs it, and strikes the operation of a kind that has this number, counted from 1.
    fn strike(&self, fault: Fault, kind: &str, at: usize) -> End {
        let at = at.to_string();
        let mut settings = vec![("FAULT_KIND", kind), ("FAULT_AT", &at)];
        let number;
        if let Fault::Error(error) = fault {
            number = error.to_string();
            settings.push(("FAULT_ERRNO", &number));
        }
        let end = self.run(&settings);
        let struck = end.operations.iter().any(|operation| operation.ends_with(" FAULT"));
        assert!(struck, "{}: number {at} of {kind} was not struck", self.line);
        end
    }

    fn run(&self, settings: &[(&str, &str)]) -> End {
        let log = self.shop.path("operations");
        let _ = fs::remove_file(&log);
        let mut command = self.shop.command();
        command.args(self.line.split_whitespace()).env("LD_PRELOAD", shim()).env("FAULT_LOG", &log);
        let output = command.env("FAULT_PATH", &self.folder).envs(settings.iter().copied()).output().unwrap();
        let operations = fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect();
        End { code: output.status.code(), stderr: String::from_utf8(output.stderr).unwrap(), operations }
    }
}

impl End {
    /// The command was killed, or has succeeded, or has failed with a message.
    fn assert_in_order(&self, kind: &str) {
        let code = matches!(self.code, None | Some(0 | 1));
        assert!(code && !self.stderr.contains("panicked"), "{kind}: {:?} {}", self.code, self.stderr);
    }
}

/// Compiles file_faults.c into a library.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/file_faults.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("file_faults.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).args([source, "-ldl"]);
        let built = compiler.status().expect("cc, the C compiler that Rust links with, runs");
        assert!(built.success(), "{compiler:?}");
        library
    })
}
