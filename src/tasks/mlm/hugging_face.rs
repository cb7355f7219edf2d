//! The names of the masked-language-model head in transformers.

/// The model class of a family.
pub fn architecture(model_type: &str) -> Option<&'static str> {
    match model_type {
        "bert" => Some("BertForMaskedLM"),
        "roberta" => Some("RobertaForMaskedLM"),
        "modernbert" => Some("ModernBertForMaskedLM"),
        _ => None,
    }
}

/// A family's name of a parameter of the head.
pub fn tensor(model_type: &str, parameter: &str) -> Option<&'static str> {
    let table = match model_type {
        "bert" => BERT,
        "roberta" => ROBERTA,
        "modernbert" => MODERNBERT,
        _ => return None,
    };
    table.iter().find(|(ours, _)| *ours == parameter).map(|(_, theirs)| *theirs)
}

/// Our names and theirs.
type Table = &'static [(&'static str, &'static str)];

const BERT: Table = &[
    ("head.dense.weight", "cls.predictions.transform.dense.weight"),
    ("head.dense.bias", "cls.predictions.transform.dense.bias"),
    ("head.norm.weight", "cls.predictions.transform.LayerNorm.weight"),
    ("head.norm.bias", "cls.predictions.transform.LayerNorm.bias"),
    ("decoder.weight", "cls.predictions.decoder.weight"),
    ("decoder.bias", "cls.predictions.bias"),
];

const ROBERTA: Table = &[
    ("head.dense.weight", "lm_head.dense.weight"),
    ("head.dense.bias", "lm_head.dense.bias"),
    ("head.norm.weight", "lm_head.layer_norm.weight"),
    ("head.norm.bias", "lm_head.layer_norm.bias"),
    ("decoder.weight", "lm_head.decoder.weight"),
    ("decoder.bias", "lm_head.bias"),
];

const MODERNBERT: Table = &[
    ("head.dense.weight", "head.dense.weight"),
    ("head.dense.bias", "head.dense.bias"),
    ("head.norm.weight", "head.norm.weight"),
    ("head.norm.bias", "head.norm.bias"),
    ("decoder.weight", "decoder.weight"),
    ("decoder.bias", "decoder.bias"),
];
