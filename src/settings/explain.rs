//! Turns serde's errors about a config into messages that the user can act on.

use crate::Error;

/// An error with the key's full path, the allowed names, and the name that was probably meant.
pub fn explain(error: &serde_path_to_error::Error<toml::de::Error>) -> Error {
    let path = error.path().to_string();
    let message = error.inner().message();
    // serde's messages quote names in backticks: first the one that was found, then the allowed ones.
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let name = names.first().copied().unwrap_or_default();
    if message.starts_with("unknown field") {
        return Error::config(path, unknown("key", &names));
    }
    if message.starts_with("unknown variant") {
        return Error::config(path, unknown("value", &names));
    }
    if message.starts_with("missing field") {
        return Error::config(join(&path, name), "is not given, and has no default");
    }
    Error::config(path, plain(message))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == "." { name.to_string() } else { format!("{path}.{name}") }
}

/// The message about an unknown name. `names` begins with that name, and the known names follow.
pub fn unknown(what: &str, names: &[&str]) -> String {
    let (name, allowed) = (names.first().copied().unwrap_or_default(), names.get(1..).unwrap_or_default());
    let closest = allowed.iter().map(|known| (edit_distance(name, known), *known)).min();
    let hint = match closest {
        Some((distance, known)) if distance <= 1 + known.len() / 4 => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    };
    let list: Vec<String> = allowed.iter().map(|known| format!("`{known}`")).collect();
    format!("unknown {what} `{name}`{hint}; allowed: {}", list.join(", "))
}

/// serde's wording with Rust's type names replaced by what a config may hold.
fn plain(message: &str) -> String {
    let mut message = message.trim().replace("invalid type: ", "found ").replace("invalid value: ", "found ");
    for (rust, words) in [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list in brackets"),
        ("expected path string", "expected a path in quotes"),
    ] {
        message = message.replace(rust, words);
    }
    match message.find("expected struct ") {
        Some(at) => format!("{}expected a section with keys of its own", &message[..at]),
        None => message,
    }
}

/// Levenshtein's distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn edit_distances() {
        assert_eq!(edit_distance("shedule", "schedule"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("rate", "rate"), 0);
    }
}
