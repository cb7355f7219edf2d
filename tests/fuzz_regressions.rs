//! Runs every fuzz target on its stored inputs: those that fuzzing starts from, and those, found by it or made by hand, that
//! once made a reader panic, hang or take too much memory.

#[path = "../fuzz/entries.rs"]
mod entries;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_seed_is_accepted() {
    for (target, entry) in entries::ALL {
        for (name, content) in files("seeds", target) {
            assert!(entry(&content), "{target}/{name} is refused");
        }
    }
}

#[test]
fn what_fuzzing_found_does_no_harm() {
    for (target, entry) in entries::ALL {
        for (name, content) in files("regressions", target) {
            println!("{target}/{name}");
            entry(&content);
        }
    }
}

/// Every folder of inputs belongs to a target; no target would run the inputs of another folder.
#[test]
fn every_folder_is_that_of_a_target() {
    let targets: BTreeSet<String> = entries::ALL.iter().map(|(target, _)| target.to_string()).collect();
    for kind in ["seeds", "regressions"] {
        assert_eq!(names(&folder(kind)), targets, "{kind}");
    }
    let programs: BTreeSet<String> = targets.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names(&folder("fuzz_targets")), programs);
}

/// The names and contents of a target's stored inputs, of which there must be at least one.
fn files(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(kind).join(target);
    let names = names(&folder);
    assert!(!names.is_empty(), "{target} has no {kind}");
    names.into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind)
}
