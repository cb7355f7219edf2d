//! `model.init`: the keys of `[model]` are read from the model that training continues from.

use crate::checkpoint::saved;
use crate::model::ModelConfig;
use crate::{Error, Result};
use std::path::Path;
use toml::{Table, Value};

/// Keys of `[model]` that may differ from those of the model in `init`.
const FREE: [&str; 3] = ["init", "dropout", "attention_dropout"];

/// Fills in `[model]` from the model that its key `init` names, and returns that model's config.
///
/// # Errors
/// There is no such model, or it is damaged.
pub(super) fn fill(table: &mut Table) -> Result<Option<ModelConfig>> {
    let Some(Value::Table(model)) = table.get_mut("model") else { return Ok(None) };
    let Some(Value::String(folder)) = model.get("init") else { return Ok(None) };
    // The config that a run keeps has every key already, and a resume must not need the original model.
    if model.contains_key("vocab_size") {
        return Ok(None);
    }
    let origin =
        saved::read_config(Path::new(folder)).map_err(|error| Error::config("model.init", error.to_string()))?;
    let keys = Table::try_from(&origin).expect("a model's config is made of what TOML can hold");
    for (key, value) in keys {
        model.entry(key).or_insert(value);
    }
    Ok(Some(origin))
}

/// Refuses a model that differs from the one that training continues from.
///
/// # Errors
/// Names the first key that differs.
pub(super) fn check(model: &ModelConfig, origin: &ModelConfig) -> Result<()> {
    match model.first_difference(origin, &FREE) {
        None => Ok(()),
        Some((key, value, had)) => {
            let problem = format!("is {value}, and the model of model.init has {had}; leave it out");
            Err(Error::config(format!("model.{key}"), problem))
        }
    }
}
