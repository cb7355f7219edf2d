//! The rooms (top-level modules) of the library, from the ground up. A room uses only those listed before it, and none uses the
//! command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The top-level modules of `src/`. What two rooms need from each other belongs to the lower one.
const ROOMS: [&str; 19] = [
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
    "collective",
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

/// Only the command line parses arguments and draws progress bars.
#[test]
fn only_the_command_line_parses_flags_and_draws_bars() {
    let named: Vec<PathBuf> = library().filter(|path| names_a_faces_crate(path)).collect();
    assert!(named.is_empty(), "the library names a face's crate: {named:?}");
    assert!(files_of("cli").iter().any(|path| names_a_faces_crate(path)), "none is found where they are");
}

fn names_a_faces_crate(source: &Path) -> bool {
    let code = code_of(&std::fs::read_to_string(source).unwrap());
    let mut names = code.split(|character: char| !character.is_alphanumeric() && character != '_');
    names.any(|name| ["clap", "clap_complete", "indicatif"].contains(&name))
}

/// Messages name flags only in the command line, and config keys only in the config and in the rooms that use it.
#[test]
fn messages_of_the_library_name_no_flag_and_those_below_the_config_no_key() {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    for path in library() {
        let keyless = ["kernels", "exec", "device", "data", "model", "optim", "tasks", "collective"]
            .map(|room| source().join(room));
        // Each of these types is a section of a config, so a key is the path of a field.
        let section = ["model/config.rs", "data/masking.rs"].iter().any(|file| path.ends_with(file));
        let keyless = !section && keyless.iter().any(|room| path.starts_with(room));
        for literal in literals(&std::fs::read_to_string(&path).unwrap()) {
            looked_at += 1;
            if names_flag(&literal) || (keyless && names_key(&literal)) {
                found.push(format!("{}: {literal}", path.display()));
            }
        }
    }
    assert!(looked_at > 1000, "only {looked_at} texts were found");
    assert!(found.is_empty(), "a face is named by the library:\n{}", found.join("\n"));
}

#[test]
fn texts_are_found_and_judged() {
    let source = r##"//! "no"
        fn f<'a>(c: char) -> &'a str { if c == '"' || c == '\'' { "take --resume \" it" } else { r#"lower "train.steps""# } }
        #[cfg(test)]
        mod tests { const NO: &str = "no"; }"##
        .replace("        ", "");
    let found = literals(&source);
    assert_eq!(found, [r#"take --resume \" it"#, r#"lower "train.steps""#]);
    assert_eq!([names_flag(&found[0]), names_flag(&found[1])], [true, false]);
    assert_eq!([names_key(&found[0]), names_key(&found[1])], [false, true]);
    for plain in ["a -- b", "---", "tokenizer.json", "a/model.safetensors", "the model. It is", "my_data.train"] {
        assert!(!names_flag(plain) && !names_key(plain), "{plain}");
    }
}

/// The sources of every room except the command line.
fn library() -> impl Iterator<Item = PathBuf> {
    ROOMS.into_iter().filter(|room| *room != "cli").flat_map(files_of).chain([source().join("lib.rs")])
}

/// A source without its comments.
fn code_of(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The string literals of a source, as they are written, without those of its tests.
fn literals(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let (mut rest, mut found) = (text, Vec::new());
    while let Some(start) = rest.find(['"', '\'', '/']) {
        let (before, at) = rest.split_at(start);
        if at.starts_with("//") {
            rest = &at[at.find('\n').unwrap_or(at.len())..];
        } else if let Some(divided) = at.strip_prefix('/') {
            rest = divided;
        } else if let Some(escaped) = at.strip_prefix("'\\") {
            rest = escaped[1..].split_once('\'').map_or("", |(_, after)| after);
        } else if let Some(ticked) = at.strip_prefix('\'') {
            // This is a character, or the name of a lifetime.
            let length = ticked.chars().next().map_or(0, char::len_utf8);
            rest = ticked[length..].strip_prefix('\'').unwrap_or(ticked);
        } else {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before.trim_end_matches('#').ends_with('r');
            let end = if raw { at[1..].find(&format!("\"{}", "#".repeat(hashes))) } else { end_of_text(&at[1..]) };
            let end = 1 + end.expect("a text ends");
            found.push(at[1..end].to_string());
            rest = &at[end + 1..];
        }
    }
    found
}

/// The position of the quotation mark that ends a string literal.
fn end_of_text(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Whether a text contains something like `--resume`.
fn names_flag(text: &str) -> bool {
    text.match_indices("--").any(|(at, _)| {
        let begins = !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '-');
        begins && text[at + 2..].starts_with(|after: char| after.is_ascii_lowercase())
    })
}

/// Whether a text contains something like `train.steps` that is not the name of a file.
fn names_key(text: &str) -> bool {
    const SECTIONS: [&str; 7] = ["checkpoint", "data", "masking", "model", "tokenizer", "train", "validation"];
    let words = text.split(|character: char| !character.is_alphanumeric() && !"_./".contains(character));
    let mut paths = words.filter_map(|word| word.split_once('.'));
    paths.any(|(section, key)| {
        let file = key.starts_with("json") || key.starts_with("safetensors");
        SECTIONS.contains(&section) && key.starts_with(|first: char| first.is_ascii_lowercase()) && !file
    })
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn place(room: &str) -> usize {
    ROOMS.iter().position(|known| *known == room).unwrap_or_else(|| panic!("`{room}` has no place among the rooms"))
}

/// The sources of a room: one file, or all files of a folder.
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
    let code = code_of(text);
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
