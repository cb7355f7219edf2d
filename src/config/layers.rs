//! The layers of a config: `--set` over the file, over the recipe's defaults, over the general ones.

use crate::{Error, Result};
use toml::{Table, Value};

/// Puts `key=value` into the table: a dotted key, and a TOML value or else a bare word taken as a string.
pub(super) fn set(table: &mut Table, assignment: &str) -> Result<()> {
    let Some((key, text)) = assignment.split_once('=') else {
        return Err(Error::config(
            format!("--set {assignment}"),
            "has no `=`; write --set key=value, such as --set train.steps=500",
        ));
    };
    let mut names: Vec<&str> = key.trim().split('.').collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(Error::config(
            format!("--set {assignment}"),
            "the key has an empty part; write it as in train.steps",
        ));
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

/// Fills in every default of a config: general, of its recipe, and derived from other keys.
///
/// Values of a wrong type are left as they are, for the typed reading to refuse.
pub(super) fn fill_defaults(table: &mut Table) {
    let mut defaults: Table =
        include_str!("defaults.toml").parse().expect("defaults.toml is part of the program and parses");
    let recipes = defaults.remove("recipes");
    let recipe = table.get("model").and_then(|model| model.get("recipe")).and_then(Value::as_str).unwrap_or("modern");
    if let Some(Value::Table(recipe)) = recipes.as_ref().and_then(|recipes| recipes.get(recipe)) {
        let model = table.entry("model").or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(model) = model {
            fill(model, recipe);
        }
    }
    fill(table, &defaults);
    derive(table);
}

fn fill(table: &mut Table, defaults: &Table) {
    for (key, default) in defaults {
        match (table.get_mut(key), default) {
            (None, _) => drop(table.insert(key.clone(), default.clone())),
            (Some(Value::Table(inner)), Value::Table(default)) => fill(inner, default),
            (Some(_), _) => {}
        }
    }
}

/// The defaults that depend on other keys.
fn derive(table: &mut Table) {
    let text = |section: &str, key: &str| Some(table.get(section)?.get(key)?.as_str()?.to_string());
    let integer = |section: &str, key: &str| table.get(section)?.get(key)?.as_integer();

    let is_wordpiece = text("tokenizer", "kind").map(|kind| kind == "wordpiece");
    let lowercase = table.get("tokenizer").and_then(|section| section.get("lowercase")).and_then(Value::as_bool);
    let strip_accents = is_wordpiece.map(|is| Value::Boolean(is && lowercase.unwrap_or(true)));
    let lowercase = is_wordpiece.map(Value::Boolean);
    let micro_batch = integer("train", "batch_size").map(Value::Integer);
    let max_positions = integer("data", "sequence_length").map(|length| Value::Integer(length.max(512)));
    let intermediate_size = integer("model", "hidden_size").map(|hidden| {
        let gated = text("model", "activation").as_deref() == Some("gated-gelu");
        Value::Integer(intermediate_size(hidden, gated))
    });
    // The modern recipe has a fixed one.
    let initializer_range =
        integer("model", "hidden_size").map(|hidden| Value::Float((0.4 / hidden.max(1) as f64).sqrt()));
    for (section, key, value) in [
        ("tokenizer", "lowercase", lowercase),
        ("tokenizer", "strip_accents", strip_accents),
        ("train", "micro_batch", micro_batch),
        ("model", "max_positions", max_positions),
        ("model", "intermediate_size", intermediate_size),
        ("model", "initializer_range", initializer_range),
    ] {
        if let (Some(Value::Table(section)), Some(value)) = (table.get_mut(section), value) {
            section.entry(key).or_insert(value);
        }
    }
}

/// Four times the hidden size; a gated layer, which has three matrices instead of two, gets two thirds of that, to the
/// nearest multiple of 16, so that it has as many weights (Shazeer, "GLU variants improve Transformer", 2020).
fn intermediate_size(hidden: i64, gated: bool) -> i64 {
    let plain = hidden.saturating_mul(4);
    if gated { (plain.saturating_mul(2).saturating_add(24) / 48 * 16).max(16) } else { plain }
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

    #[test]
    fn intermediate_sizes() {
        assert_eq!(intermediate_size(128, false), 512);
        assert_eq!(intermediate_size(128, true), 336);
        assert_eq!(intermediate_size(768, true), 2048);
        assert_eq!(intermediate_size(1, true), 16);
        assert_eq!(intermediate_size(i64::MAX, false), i64::MAX);
    }
}
