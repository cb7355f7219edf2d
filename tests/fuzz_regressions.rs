//! The inputs that fuzzing starts from, and those that it once found to panic, hang or take too much memory.

#[path = "../fuzz/entries.rs"]
mod entries;

use std::fs;
use std::path::Path;

#[test]
fn every_seed_is_accepted() {
    for (target, entry) in entries::ALL {
        let seeds = files("seeds", target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (name, content) in seeds {
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

/// Name and content of what is stored for a target; a target that has found nothing has no folder.
fn files(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
    };
    fs::read_dir(folder).into_iter().flatten().map(read).collect()
}
