//! Layers of TOML: assignments override a file, which overrides defaults.

use crate::{Error, Remedy, Result};
use toml::{Table, Value};

/// More parts than the longest key has.
const DEEPEST: usize = 8;

/// Puts `key=value` into the table. The key is dotted; the value is TOML, or else a bare word, which is taken as a string.
///
/// # Errors
/// There is no `=`; a part of the key is empty or is not a section; the value looks like TOML and is not.
pub fn set(table: &mut Table, assignment: &str) -> Result<()> {
    let Some((key, text)) = assignment.split_once('=') else {
        return Err(Error::config(assignment, "has no `=`").with(Remedy::Assignment));
    };
    let mut names: Vec<&str> = key.trim().split('.').collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(Error::config(assignment, "the key has an empty part").with(Remedy::Assignment));
    }
    // Deserialization recurses once for each part, and the stack is limited.
    if names.len() > DEEPEST {
        let problem = format!("has {} parts, and no key has more than {DEEPEST}", names.len());
        return Err(Error::config(format!("{}.{}.…", names[0], names[1]), problem));
    }
    let value = parse_value(key.trim(), text.trim())?;
    let last = names.pop().expect("split yields at least one part");
    let mut section = table;
    for name in names {
        section = match section.entry(name).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => inner,
            other => {
                let problem =
                    format!("`{name}` is a {}, not a section, so it has no keys of its own", other.type_str());
                return Err(Error::config(key.trim(), problem));
            }
        };
    }
    section.insert(last.to_string(), value);
    Ok(())
}

fn parse_value(key: &str, text: &str) -> Result<Value> {
    match text.parse::<Value>() {
        Ok(value) => Ok(value),
        // Someone who opens a bracket or a quote meant TOML and mistyped it.
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            Err(Error::config(key, format!("`{text}` is not a TOML value: {}", error.message())))
        }
        Err(_) => Ok(Value::String(text.to_string())),
    }
}

/// Renames the key `old` of a section to `new`, and says whether it was there.
///
/// # Errors
/// The section has both keys.
pub fn rename(table: &mut Table, section: &str, old: &str, new: &str) -> Result<bool> {
    let Some(Value::Table(keys)) = table.get_mut(section) else { return Ok(false) };
    let Some(value) = keys.remove(old) else { return Ok(false) };
    if keys.insert(new.to_string(), value).is_some() {
        let problem = format!("is called {section}.{new} now, and that is given too; leave one of them out");
        return Err(Error::config(format!("{section}.{old}"), problem));
    }
    Ok(true)
}

/// Fills in what the table lacks. Values of a wrong type are left as they are: deserialization reports them.
pub fn fill(table: &mut Table, defaults: &Table) {
    for (key, default) in defaults {
        match (table.get_mut(key), default) {
            (None, _) => drop(table.insert(key.clone(), default.clone())),
            (Some(Value::Table(inner)), Value::Table(default)) => fill(inner, default),
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_takes_toml_values_and_bare_words() {
        let mut table = "name = 'a'\n[train]\nsteps = 1".parse::<Table>().unwrap();
        for assignment in [
            "train.steps=500",
            "train.schedule=cosine",
            "data.train=[\"a b.txt\", 'c.txt']",
            "data.prepared = my data/x=y",
            "masking.rate=0.3",
            "name=2024-run",
        ] {
            set(&mut table, assignment).unwrap();
        }
        assert_eq!(table["train"]["steps"].as_integer(), Some(500));
        assert_eq!(table["train"]["schedule"].as_str(), Some("cosine"));
        assert_eq!(table["data"]["train"].as_array().unwrap().len(), 2);
        assert_eq!(table["data"]["prepared"].as_str(), Some("my data/x=y"));
        assert_eq!(table["masking"]["rate"].as_float(), Some(0.3));
        assert_eq!(table["name"].as_str(), Some("2024-run"));
    }

    #[test]
    fn a_key_is_renamed_in_its_section_alone() {
        let mut table = "old = 1\n[train]\nold = 2\nother = 3".parse::<Table>().unwrap();
        assert!(rename(&mut table, "train", "old", "new").unwrap());
        assert_eq!(table, "old = 1\n[train]\nnew = 2\nother = 3".parse().unwrap());
        for (section, old) in [("train", "old"), ("model", "old"), ("old", "old")] {
            assert!(!rename(&mut table, section, old, "new").unwrap(), "{section}.{old}");
        }
        let message = rename(&mut table, "train", "other", "new").unwrap_err().to_string();
        assert_eq!(message, "train.other: is called train.new now, and that is given too; leave one of them out");
    }

    #[test]
    fn set_refuses_what_it_cannot_place() {
        for (assignment, expected) in [
            ("train.steps", "has no `=`"),
            ("train..steps=1", "empty part"),
            ("=1", "empty part"),
            ("data.train=[\"a.txt\"", "not a TOML value"),
            ("name.first=1", "`name` is a string, not a section"),
        ] {
            let mut table = "name = 'a'".parse::<Table>().unwrap();
            let message = set(&mut table, assignment).unwrap_err().to_string();
            assert!(message.contains(expected), "{assignment}: {message}");
        }
    }
}
