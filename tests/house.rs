//! The rooms of the library, from the ground up: a room uses only those listed before it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Top-level modules of `src/`. What two rooms need of each other belongs to the lower one.
const ROOMS: [&str; 18] = [
    "error",
    "random",
    "files",
    "settings",
    "kernels",
    "exec",
    "device",
    "data",
    "model",
    "optim",
    "tasks",
    "hf",
    "checkpoint",
    "config",
    "train",
    "bench",
    "doctor",
    "cli",
];

#[test]
fn a_room_uses_only_rooms_below_it() {
    let mut upward = Vec::new();
    let mut imports = 0;
    for room in ROOMS {
        for path in files_of(room) {
            for used in rooms_used(&std::fs::read_to_string(&path).unwrap()) {
                imports += 1;
                if place(used) > place(room) {
                    upward.push(format!("{}: `{room}` uses `{used}`", path.display()));
                }
            }
        }
    }
    assert!(imports > 100, "only {imports} imports were found");
    assert!(upward.is_empty(), "rooms use others above them:\n{}", upward.join("\n"));
}

#[test]
fn every_room_has_its_place() {
    let names = std::fs::read_dir(source()).unwrap().map(|entry| entry.unwrap().path());
    let rooms: BTreeSet<String> = names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let known = ROOMS.into_iter().chain(["lib", "main"]).map(String::from).collect();
    assert_eq!(rooms, known);
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{Error, data::Batch, exec};\nuse crate::kernels::{self, step};\n/// crate::cli is above.\n\
                fn f() { crate::model::run(crate::train::Trainer); }";
    assert_eq!(rooms_used(text), ["kernels", "exec", "data", "model", "train"]);
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn place(room: &str) -> usize {
    ROOMS.iter().position(|known| *known == room).unwrap_or_else(|| panic!("`{room}` has no place among the rooms"))
}

/// The sources of a room: a file, or all of a folder.
fn files_of(room: &str) -> Vec<PathBuf> {
    let file = source().join(room).with_extension("rs");
    let mut files = if file.is_file() { vec![file] } else { Vec::new() };
    let mut folders = vec![source().join(room)];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

/// The rooms that a source names after `crate::`, in their order, each once. Types of the crate's root are no rooms.
fn rooms_used(text: &str) -> Vec<&'static str> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => names.extend(members(list)),
            None => names.extend(first_name(after)),
        }
    }
    ROOMS.into_iter().filter(|room| names.contains(*room)).collect()
}

/// The first name of each member of `{a::b, c::{d, e}, …}`, of which `list` is what follows the first brace.
fn members(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (1, 0, Vec::new());
    for (at, character) in list.char_indices() {
        let ends = depth == 1 && matches!(character, ',' | '}');
        if ends {
            found.extend(first_name(list[start..at].trim_start()));
            start = at + 1;
        }
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

fn first_name(text: &str) -> Option<&str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .next()
        .filter(|name| !name.is_empty())
}
