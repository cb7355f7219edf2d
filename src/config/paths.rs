//! Paths in a config file: they lead on from the file's folder where there is something, else from the current directory.

use crate::data::is_there;
use std::path::Path;
use toml::{Table, Value};

const KEYS: [(&str, &str); 5] =
    [("data", "train"), ("data", "validation"), ("data", "prepared"), ("tokenizer", "file"), ("model", "init")];

/// Puts `folder`, that of the config file, before the paths and patterns that lead to something from there. Says in the log where
/// one leads to something else from the current directory.
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
            // What is no text is for the typed reading to refuse.
            let Value::String(path) = value else { continue };
            if let Some(found) = beside(folder, &format!("{section}.{key}"), path) {
                *path = found;
            }
        }
    }
}

/// The path from the config's folder, if it is another one that leads to something.
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
