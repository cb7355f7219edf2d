//! From the paths a user gives (files, folders, patterns) to the list of files to read.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use log::Level;
use walkdir::{DirEntry, WalkDir};

use crate::{Error, Result};

/// The formats and compressions that are read, as an error message names them.
const ALLOWED: &str = ".txt or .jsonl, either also with .gz or .zst, or without an ending in a digit, as wiki_00";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Jsonl,
    /// Lines of JSON if the file begins with one, else text.
    Either,
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
    /// A text file, whatever its name. It is compressed if its name ends in .gz or .zst.
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

/// The files to read, and what there is to say about files that are not read.
#[derive(Default)]
pub(super) struct Found {
    pub inputs: Vec<Input>,
    said: Vec<(Level, String)>,
}

impl Found {
    /// Logs what there is to say.
    pub fn tell(&self) {
        self.said.iter().for_each(|(level, message)| log::log!(*level, "{message}"));
    }

    /// Whether an entry is a link to a folder, which is not followed.
    fn is_link(&mut self, entry: &DirEntry) -> bool {
        let is_link = entry.path_is_symlink() && entry.path().is_dir();
        if is_link {
            let path = entry.path().display();
            let message = format!("{path}: a link to a folder, not followed; name it too if its text is wanted");
            self.said.push((Level::Warn, message));
        }
        is_link
    }
}

/// The files behind `paths`, in the order given. The files of a folder or a pattern are sorted by name. In a pattern `*` and
/// `?` stand for characters of a name, `**` for any number of folders.
///
/// # Errors
/// A path that is missing, a named file of unknown format, a folder or pattern without any file of a known one.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    for path in paths {
        match is_pattern(path) {
            true => expand_pattern(path, &mut found)?,
            false => expand_path(path, &mut found)?,
        }
    }
    Ok(found)
}

/// The files behind `paths`, which are files, folders and patterns.
///
/// # Errors
/// As reading them: one is missing, or holds nothing of a known format.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    Ok(expand(paths)?.inputs.into_iter().map(|input| input.path).collect())
}

/// Whether a path has wildcards and doesn't exist as it stands.
fn is_pattern(path: &Path) -> bool {
    path.components().any(|part| has_wildcard(part.as_ref())) && !path.exists()
}

fn has_wildcard(part: &Path) -> bool {
    part.to_string_lossy().contains(['*', '?', '[', '{'])
}

/// Whether a path or a pattern leads to something.
pub(crate) fn is_there(path: &Path) -> bool {
    path.exists() || (is_pattern(path) && expand_pattern(path, &mut Found::default()).is_ok())
}

fn expand_pattern(path: &Path, found: &mut Found) -> Result<()> {
    let (folder, pattern) = parts_of(path);
    let glob = GlobBuilder::new(&pattern.to_string_lossy()).literal_separator(true).build();
    let glob = glob.map_err(|error| Error::file(path, format!("not a pattern: {}", error.kind())))?.compile_matcher();
    let any_depth = pattern.components().any(|part| part.as_os_str() == "**");
    let depth = if any_depth { usize::MAX } else { pattern.components().count() };
    let root = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    let before = found.inputs.len();
    if root.is_dir() {
        // As in shells, `**` does not follow links, which may lead in circles or to the same files twice.
        let walk = WalkDir::new(root).min_depth(1).max_depth(depth).follow_links(!any_depth).sort_by_file_name();
        let mut walk = walk.into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry.map_err(walk_error)?;
            let name = entry.path().strip_prefix(root).expect("it lies in the root");
            if glob.is_match(name) {
                expand_path(&folder.join(name), found)?;
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
            } else if any_depth {
                found.is_link(&entry);
            }
        }
    }
    if found.inputs.len() == before {
        return Err(Error::file(path, "no file matches this pattern"));
    }
    Ok(())
}

/// Splits a pattern into the folder to search and what paths in it have to match.
fn parts_of(path: &Path) -> (PathBuf, PathBuf) {
    let (mut folder, mut pattern) = (PathBuf::new(), PathBuf::new());
    for part in path.components() {
        let literal = !has_wildcard(part.as_ref()) || folder.join(part).is_dir();
        match pattern.as_os_str().is_empty() && literal {
            true => folder.push(part),
            false => pattern.push(part),
        }
    }
    (folder, pattern)
}

fn expand_path(path: &Path, found: &mut Found) -> Result<()> {
    let metadata = fs::metadata(path).map_err(Error::io(path))?;
    if metadata.is_dir() {
        let before = found.inputs.len();
        expand_folder(path, found)?;
        if found.inputs.len() == before {
            return Err(Error::file(path, format!("the folder holds no file to read (names end in {ALLOWED})")));
        }
        return Ok(());
    }
    let kind =
        kind(path).ok_or_else(|| Error::file(path, format!("unknown kind of file: its name must end in {ALLOWED}")))?;
    found.inputs.push(input(path, kind, &metadata)?);
    Ok(())
}

fn input(path: &Path, (format, compression): (Format, Compression), metadata: &Metadata) -> Result<Input> {
    match metadata.is_file() {
        true => Ok(Input { path: path.to_path_buf(), format, compression, bytes: metadata.len() }),
        false => Err(Error::file(path, "is a pipe or a device; text is read more than once: write it to a file first")),
    }
}

/// Adds every file of a known kind below `folder`. Links to folders are not followed: they may lead in circles, or to the
/// same files twice.
fn expand_folder(folder: &Path, found: &mut Found) -> Result<()> {
    let (mut passed_over, mut first) = (0, None);
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(walk_error)?;
        if entry.file_type().is_dir() || found.is_link(&entry) {
            continue;
        }
        let path = entry.path();
        match kind(path) {
            Some(kind) => found.inputs.push(input(path, kind, &fs::metadata(path).map_err(Error::io(path))?)?),
            None => {
                passed_over += 1;
                first.get_or_insert(path.to_path_buf());
            }
        }
    }
    if let Some(first) = first {
        let (folder, first) = (folder.display(), first.display());
        let message = format!(
            "{folder}: passed over {passed_over} files of other kinds, such as {first}; names end in {ALLOWED}"
        );
        found.said.push((Level::Info, message));
    }
    Ok(())
}

fn walk_error(error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(Path::new("")).to_path_buf();
    match error.loop_ancestor() {
        Some(ancestor) => {
            Error::file(&path, format!("a link back to {}: name the folders one by one", ancestor.display()))
        }
        None => Error::io(&path)(error.into_io_error().unwrap_or_else(|| std::io::ErrorKind::Other.into())),
    }
}

/// Format and compression, by the file's name, which need not be UTF-8.
fn kind(path: &Path) -> Option<(Format, Compression)> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let (stem, compression) = compression(&name);
    match stem.rsplit_once('.') {
        Some((_, "txt")) => Some((Format::Text, compression)),
        Some((_, "jsonl")) => Some((Format::Jsonl, compression)),
        // Tools number their output in this way: wiki_00, part-00000.
        None if stem.ends_with(|last: char| last.is_ascii_digit()) => Some((Format::Either, compression)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(kind(Path::new("a.b.txt")), Some((Format::Text, Compression::None)));
        assert_eq!(kind(Path::new("x/A.JSONL.ZST")), Some((Format::Jsonl, Compression::Zstd)));
        assert_eq!(kind(Path::new("AA/wiki_00")), Some((Format::Either, Compression::None)));
        assert_eq!(kind(Path::new("part-00000.gz")), Some((Format::Either, Compression::Gzip)));
        assert_eq!(kind(Path::new("a.txt.gz")), Some((Format::Text, Compression::Gzip)));
        for unknown in ["a.csv", "txt", "a.gz", ".zst", "a.txt.xz", "README", "v1.2"] {
            assert_eq!(kind(Path::new(unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn patterns_in_any_part() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a[1]/x.txt", "a[1]/y.txt", "b/c/wiki_00", "b/c/z.txt.gz", "b/part-07.txt", "b/part-7.txt"];
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let inputs = expand(&[folder.path().join(pattern)]).unwrap_or_default().inputs.into_iter();
            inputs.map(|input| input.path.strip_prefix(&folder).unwrap().to_string_lossy().replace('\\', "/")).collect()
        };
        assert_eq!(found("*"), names);
        assert_eq!(found("**"), names);
        assert_eq!(found("*/*.txt"), [names[0], names[1], names[4], names[5]]);
        assert_eq!(found("b/part-??.txt"), ["b/part-07.txt"]);
        assert_eq!(found("a[1]/x*"), ["a[1]/x.txt"]);
        assert_eq!(found("**/wiki_*"), ["b/c/wiki_00"]);
        assert_eq!(found("b/**/*.txt*"), ["b/c/z.txt.gz", "b/part-07.txt", "b/part-7.txt"]);
        assert_eq!(found("?/*/z.*"), ["b/c/z.txt.gz"]);
        assert!(found("*.txt").is_empty() && found("gone/*.txt").is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_links_and_pipes() {
        use std::os::unix::{ffi::OsStrExt, fs::symlink};
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(file(b"caf\xe9.txt"), "x").unwrap();
        fs::create_dir(file(b"sub")).unwrap();
        fs::write(file(b"sub/a.txt"), "x").unwrap();
        symlink("sub/a.txt", file(b"z.txt")).unwrap();
        symlink("sub", file(b"linked")).unwrap();
        let found = |path: PathBuf| expand(&[path]).map(|found| found.inputs.len()).map_err(|error| error.to_string());
        assert_eq!(found(folder.path().to_path_buf()), Ok(3));
        assert_eq!(found(file(b"*.txt")), Ok(2));
        assert_eq!(found(file(b"*/*.txt")), Ok(2));
        symlink("nowhere", file(b"gone.txt")).unwrap();
        assert!(found(folder.path().to_path_buf()).unwrap_err().contains("gone.txt"));
        fs::remove_file(file(b"gone.txt")).unwrap();
        std::os::unix::net::UnixListener::bind(file(b"pipe.txt")).unwrap();
        assert!(found(folder.path().to_path_buf()).unwrap_err().contains("pipe.txt: is a pipe or a device"));
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
            expand(paths).unwrap().inputs.into_iter().map(relative).collect()
        };
        assert_eq!(names(&[folder.path().to_path_buf()]), ["a.jsonl", "m/b.txt.gz", "z.txt"]);
        assert_eq!(names(&[folder.path().join("?.txt")]), ["z.txt"]);

        let message = |name: &str| expand(&[folder.path().join(name)]).err().unwrap().to_string();
        assert!(message("notes.md").contains(".jsonl"), "{}", message("notes.md"));
        assert!(message("*.csv").contains("no file matches"), "{}", message("*.csv"));
        assert!(message("gone.txt").contains("gone.txt"), "{}", message("gone.txt"));
    }
}
