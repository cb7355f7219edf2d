//! From the paths a user gives (files, folders, patterns) to the list of files to read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The formats and compressions that are read, as an error message names them.
const ALLOWED: &str = ".txt or .jsonl, either also with .gz or .zst";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// One file to read.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub path: PathBuf,
    pub format: Format,
    pub compression: Compression,
    /// Size on disk in bytes.
    pub bytes: u64,
}

impl Input {
    /// A text file whatever its name, compressed where that ends in .gz or .zst.
    ///
    /// # Errors
    /// There is no such file.
    pub fn text(path: &Path) -> Result<Input> {
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        if metadata.is_dir() {
            return Err(Error::io(path)(std::io::ErrorKind::IsADirectory.into()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (_, compression) = compression(&name);
        Ok(Input { path: path.to_path_buf(), format: Format::Text, compression, bytes: metadata.len() })
    }

    /// Standard input, as messages call it.
    pub fn stdin() -> Input {
        Input { path: "standard input".into(), format: Format::Text, compression: Compression::None, bytes: 0 }
    }
}

/// The files behind `paths`, in the order given; what a folder or a pattern holds is sorted by name.
///
/// # Errors
/// A path that is missing, a named file of unknown format, a folder or pattern without any file of a known one.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        match is_pattern(path) {
            true => expand_pattern(path, &mut inputs)?,
            false => expand_path(path, &mut inputs)?,
        }
    }
    Ok(inputs)
}

/// The files behind `paths`, which are files, folders and patterns.
///
/// # Errors
/// As reading them: one is missing, or holds nothing of a known format.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    Ok(expand(paths)?.into_iter().map(|input| input.path).collect())
}

/// A name with `*` or `?` that doesn't exist as it stands.
fn is_pattern(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains(['*', '?']) && !path.exists()
}

/// Whether a path or a pattern leads to something.
pub(crate) fn is_there(path: &Path) -> bool {
    path.exists() || (is_pattern(path) && expand_pattern(path, &mut Vec::new()).is_ok())
}

fn expand_pattern(path: &Path, inputs: &mut Vec<Input>) -> Result<()> {
    let pattern: Vec<char> = path.file_name().unwrap_or_default().to_string_lossy().chars().collect();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let before = inputs.len();
    for entry in sorted_entries(folder)? {
        let name: Vec<char> = entry.file_name().unwrap_or_default().to_string_lossy().chars().collect();
        if matches(&pattern, &name) {
            expand_path(&entry, inputs)?;
        }
    }
    if inputs.len() == before {
        return Err(Error::file(path, "no file matches this pattern"));
    }
    Ok(())
}

fn expand_path(path: &Path, inputs: &mut Vec<Input>) -> Result<()> {
    let metadata = fs::metadata(path).map_err(Error::io(path))?;
    if metadata.is_dir() {
        let before = inputs.len();
        expand_folder(path, inputs)?;
        if inputs.len() == before {
            return Err(Error::file(path, format!("the folder holds no file to read ({ALLOWED})")));
        }
        return Ok(());
    }
    let (format, compression) =
        kind(path).ok_or_else(|| Error::file(path, format!("unknown kind of file: its name must end in {ALLOWED}")))?;
    inputs.push(Input { path: path.to_path_buf(), format, compression, bytes: metadata.len() });
    Ok(())
}

/// Adds every file of a known format below `folder`. Links to folders are not followed: they can form a circle.
fn expand_folder(folder: &Path, inputs: &mut Vec<Input>) -> Result<()> {
    for entry in sorted_entries(folder)? {
        if fs::symlink_metadata(&entry).map_err(Error::io(&entry))?.is_dir() {
            expand_folder(&entry, inputs)?;
        } else if kind(&entry).is_some() && entry.is_file() {
            expand_path(&entry, inputs)?;
        }
    }
    Ok(())
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(Error::io(folder))?;
    paths.sort();
    Ok(paths)
}

/// Format and compression by the file's name.
fn kind(path: &Path) -> Option<(Format, Compression)> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (stem, compression) = compression(&name);
    match stem.rsplit_once('.')?.1 {
        "txt" => Some((Format::Text, compression)),
        "jsonl" => Some((Format::Jsonl, compression)),
        _ => None,
    }
}

/// A lower-case name without its ending for compression, and the compression.
fn compression(name: &str) -> (&str, Compression) {
    if let Some(stem) = name.strip_suffix(".gz") {
        (stem, Compression::Gzip)
    } else if let Some(stem) = name.strip_suffix(".zst") {
        (stem, Compression::Zstd)
    } else {
        (name, Compression::None)
    }
}

/// Whether `name` fits `pattern`, where `*` stands for any characters and `?` for one.
fn matches(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        Some((first, rest)) => {
            name.split_first().is_some_and(|(c, name)| (first == c || *first == '?') && matches(rest, name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(kind(Path::new("a.b.txt")), Some((Format::Text, Compression::None)));
        assert_eq!(kind(Path::new("x/A.JSONL.ZST")), Some((Format::Jsonl, Compression::Zstd)));
        assert_eq!(kind(Path::new("a.txt.gz")), Some((Format::Text, Compression::Gzip)));
        for unknown in ["a.csv", "txt", "a.gz", ".zst", "a.txt.xz"] {
            assert_eq!(kind(Path::new(unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn patterns() {
        let fits = |pattern: &str, name: &str| {
            matches(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
        };
        assert!(
            fits("*.txt", "a.txt") && fits("part-??.txt", "part-07.txt") && fits("*", "") && fits("a*b*c", "axbbc")
        );
        assert!(!fits("*.txt", "a.txt.gz") && !fits("part-??.txt", "part-7.txt") && !fits("", "a"));
    }

    #[test]
    fn folders_are_searched_in_order_and_other_files_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("m")).unwrap();
        for name in ["z.txt", "a.jsonl", "m/b.txt.gz", "notes.md"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let names = |paths: &[PathBuf]| -> Vec<String> {
            let relative =
                |input: Input| input.path.strip_prefix(&folder).unwrap().to_string_lossy().replace('\\', "/");
            expand(paths).unwrap().into_iter().map(relative).collect()
        };
        assert_eq!(names(&[folder.path().to_path_buf()]), ["a.jsonl", "m/b.txt.gz", "z.txt"]);
        assert_eq!(names(&[folder.path().join("?.txt")]), ["z.txt"]);

        let message = |name: &str| expand(&[folder.path().join(name)]).unwrap_err().to_string();
        assert!(message("notes.md").contains(".jsonl"), "{}", message("notes.md"));
        assert!(message("*.csv").contains("no file matches"), "{}", message("*.csv"));
        assert!(message("gone.txt").contains("gone.txt"), "{}", message("gone.txt"));
    }
}
