//! Inputs that a fuzzer once found to panic, hang or take too much memory, and those it starts from.

#[path = "../fuzz/entries.rs"]
mod entries;

use std::fs;
use std::path::Path;

#[test]
fn every_stored_input_is_read_without_harm() {
    for (target, entry) in entries::ALL {
        let mut count = 0;
        for kind in ["seeds", "regressions"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
            // A target that has found nothing has no regressions.
            for file in fs::read_dir(&folder).into_iter().flatten() {
                let path = file.unwrap().path();
                println!("{}", path.display());
                entry(&fs::read(&path).unwrap());
                count += 1;
            }
        }
        assert!(count > 0, "{target} has no seeds");
    }
}
