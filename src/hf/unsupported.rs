//! Keys of a `config.json` that change what is computed, in ways that no model of ours does.

use serde_json::Value;

/// Returns an error for a key that asks for something that Cloze does not compute. Keys that do not matter for masked
/// language modelling (`use_cache`, `classifier_pooling`, `sparse_prediction`, …) are ignored.
pub(super) fn check(json: &Value) -> Result<(), String> {
    for key in ["is_decoder", "is_encoder_decoder", "add_cross_attention"] {
        if json.get(key).is_some_and(|value| *value != Value::Bool(false) && !value.is_null()) {
            return Err(format!("{key} is {}, and Cloze computes encoders only", json[key]));
        }
    }
    for (key, what) in [
        ("auto_map", "the model is computed by code of its own"),
        ("quantization_config", "the weights are quantised"),
        ("rope_scaling", "the rotary frequencies are scaled"),
        ("pruned_heads", "attention heads are left out"),
    ] {
        if json.get(key).is_some_and(|value| !is_empty(value)) {
            return Err(format!("{key} is given: {what}, which Cloze does not compute"));
        }
    }
    let number = |key: &str| json.get(key).and_then(Value::as_u64);
    if let (Some(width), Some(hidden), Some(heads)) =
        (number("head_dim"), number("hidden_size"), number("num_attention_heads"))
        && width.checked_mul(heads) != Some(hidden)
    {
        return Err(format!("head_dim is {width}, and Cloze computes heads of hidden_size / num_attention_heads only"));
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
