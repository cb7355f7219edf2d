//! Every default of a config: general ones, the recipe's, and those that depend on other keys.

use crate::model::recipe::intermediate_size;
use crate::model::{Activation, Recipe};
use crate::settings::fill;
use toml::{Table, Value};

/// Fills in every default.
///
/// Values of a wrong type are left as they are: deserialization reports them.
pub(super) fn fill_defaults(table: &mut Table) {
    let defaults: Table =
        include_str!("defaults.toml").parse().expect("defaults.toml is part of the program and parses");
    fill(table, &defaults);
    derive(table);
    let recipe = model_defaults(table);
    if let Value::Table(model) = table.entry("model").or_insert_with(|| Value::Table(Table::new())) {
        fill(model, &recipe);
    }
}

/// The defaults of `[model]`: those of its recipe, without the sizes, which have no default.
fn model_defaults(table: &Table) -> Table {
    let model = table.get("model");
    let recipe = model.and_then(|model| model.get("recipe")).cloned().and_then(|recipe| recipe.try_into().ok());
    let size = |key| model.and_then(|model| model.get(key)).and_then(Value::as_integer);
    // An impossible size is refused later under its own key, so any number will do here.
    let hidden_size = size("hidden_size").and_then(|size| u32::try_from(size).ok()).unwrap_or(1) as usize;
    let mut defaults = recipe.unwrap_or(Recipe::Modern).config(0, 1, hidden_size, 1);
    if let Some(Ok(activation)) =
        model.and_then(|model| model.get("activation")).cloned().map(Value::try_into::<Activation>)
    {
        defaults.intermediate_size = intermediate_size(hidden_size, activation);
    }
    let length = table.get("data").and_then(|data| data.get("sequence_length")).and_then(Value::as_integer);
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    defaults.max_positions = defaults.max_positions.max(length);
    let mut defaults = Table::try_from(defaults).expect("a model's config is made of what TOML can hold");
    ["layers", "hidden_size", "heads"].into_iter().for_each(|key| drop(defaults.remove(key)));
    defaults
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
    for (section, key, value) in [
        ("tokenizer", "lowercase", lowercase),
        ("tokenizer", "strip_accents", strip_accents),
        ("train", "micro_batch", micro_batch),
    ] {
        if let (Some(Value::Table(section)), Some(value)) = (table.get_mut(section), value) {
            section.entry(key).or_insert(value);
        }
    }
}
