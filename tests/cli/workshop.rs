//! A temporary folder with a text and a config for a tiny model, in which the tests run the binary.

use assert_cmd::Command;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const NOVEL: &str = include_str!("../../configs/quickstart/pride-and-prejudice.txt");

/// A 1-layer, 32-wide model on sequences of 32 tokens: a step takes milliseconds.
pub const CONFIG: &str = r#"
[tokenizer]
vocab_size = 400

[data]
train = ["text.txt"]
documents = "line"
validation_fraction = 0.1
sequence_length = 32

[model]
layers = 1
hidden_size = 32
heads = 2

[train]
steps = 12
batch_size = 8
learning_rate = 1e-2

[validation]
every = 6
max_sequences = 32

[checkpoint]
every = 4
keep = 3
"#;

pub struct Workshop {
    folder: TempDir,
}

/// How a command ended.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl Workshop {
    /// `text.txt`, some pages of a novel with a paragraph a line, and `run.toml`, which trains on them.
    pub fn new() -> Self {
        let shop = Workshop { folder: tempfile::tempdir().unwrap() };
        let paragraphs: Vec<&str> = NOVEL.lines().filter(|line| !line.is_empty()).skip(20).take(150).collect();
        shop.write("text.txt", paragraphs.join("\n"));
        shop.write("run.toml", CONFIG);
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// The binary, ready to run in the folder. Its cache of what it measures on adapters is among the build's files.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path()).env_remove("RUST_LOG").env("RUST_BACKTRACE", "0");
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("CLOZE_TEST_BREAK");
        command
    }

    /// Runs the binary with the words of `line`, and then `more`, as its arguments.
    pub fn run(&self, line: &str, more: &[&str]) -> Outcome {
        outcome(self.command().args(line.split_whitespace()).args(more))
    }

    /// As `run`, for a command that must succeed.
    pub fn done(&self, line: &str, more: &[&str]) -> Outcome {
        let outcome = self.run(line, more);
        assert_eq!(outcome.code, 0, "cloze {line} {more:?}: {}", outcome.stderr);
        outcome
    }

    /// Replaces a file of a checkpoint, and the hashes that guard it.
    pub fn forge(&self, checkpoint: &str, name: &str, content: &[u8]) {
        assert!(names(self.path(checkpoint)).iter().any(|other| other == name));
        self.write(&format!("{checkpoint}/{name}"), content);
        let mut manifest: Value = serde_json::from_slice(&self.read(&format!("{checkpoint}/manifest.json"))).unwrap();
        manifest["files"][name]["bytes"] = content.len().into();
        manifest["files"][name]["blake3"] = blake3::hash(content).to_hex().to_string().into();
        self.forge_manifest(checkpoint, &manifest);
    }

    /// Replaces the manifest of a checkpoint, and the hash that guards it.
    pub fn forge_manifest(&self, checkpoint: &str, manifest: &Value) {
        let manifest = serde_json::to_vec(manifest).unwrap();
        let line = format!("{}  manifest.json\n", blake3::hash(&manifest).to_hex());
        self.write(&format!("{checkpoint}/manifest.json"), manifest);
        self.write(&format!("{checkpoint}/manifest.json.blake3"), line);
    }

    /// A copy of a folder.
    pub fn copy(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }
}

/// The binary under test: this build's, or the one that CLOZE_BINARY names, such as an older one with which a new test must
/// fail.
pub fn binary() -> PathBuf {
    std::env::var_os("CLOZE_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_cloze").into(), PathBuf::from)
}

pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.timeout(std::time::Duration::from_secs(900)).output().expect("cloze starts");
    Outcome {
        code: output.status.code().expect("no signal ends it"),
        stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it prints UTF-8"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The names in a folder, sorted.
pub fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).map(|name| lossy(&name)).collect();
    names.sort();
    names
}

fn lossy(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}
