//! Paths in a config file are taken from the file's folder if they exist there, else from the current directory.

use crate::data::is_there;
use std::path::Path;
use toml::{Table, Value};

const KEYS: [(&str, &str); 5] =
    [("data", "train"), ("data", "validation"), ("data", "prepared"), ("tokenizer", "file"), ("model", "init")];

/// Puts `folder`, that of the config file, before the paths and patterns that lead to something there. Warns in the log if
/// such a path also leads to something else in the current directory.
pub(super) fn lead_on_from(folder: &Path, table: &mut Table) {
    let here = folder.canonicalize().ok() == Path::new(".").canonicalize().ok();
    if folder.as_os_str().is_empty() || here {
        return;
    }
    for (section, key) in KEYS {
        let Some(value) = table.get_mut(section).and_then(|section| section.get_mut(key)) else { continue };
        let values = match value {
            Value::Array(values) => values.iter_mut().collect(),
            value => vec![value],
        };
        for value in values {
            // Deserialization reports values that are not strings.
            let Value::String(path) = value else { continue };
            if let Some(found) = beside(folder, &format!("{section}.{key}"), path) {
                *path = found;
            }
        }
    }
}

/// The path within the config's folder, if it exists there and `path` itself does not lead to the same file.
fn beside(folder: &Path, key: &str, path: &str) -> Option<String> {
    let (written, beside) = (Path::new(path), folder.join(path));
    if written.is_absolute() || !is_there(&beside) {
        return None;
    }
    if is_there(written) {
        if beside.canonicalize().is_ok_and(|beside| written.canonicalize().is_ok_and(|written| written == beside)) {
            return None;
        }
        log::warn!(
            "{key}: `{path}` is there beside the config and in the current directory; taking {}, beside the config",
            beside.display()
        );
    }
    beside.into_os_string().into_string().ok()
}
