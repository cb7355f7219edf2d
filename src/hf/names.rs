//! Which tensors of a transformers model hold which parameter of ours.

use super::config::Family;
use crate::config::ModelConfig;

/// Where a parameter lies in a family's files: one tensor, or several stacked along their first dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub tensors: Vec<String>,
}

impl Source {
    fn one(name: impl Into<String>) -> Self {
        Source { tensors: vec![name.into()] }
    }
}

/// The tensors behind the parameter `name`, such as `layers.0.attention.qkv.weight`. `None` where the family has no such
/// parameter.
pub fn source(family: Family, config: &ModelConfig, name: &str) -> Option<Source> {
    match family {
        Family::Bert => bert(name, "bert", BERT_HEAD),
        Family::Roberta => bert(name, "roberta", ROBERTA_HEAD),
        Family::ModernBert if name == "final_norm.weight" && !config.head_transform => {
            Some(Source::one("head.norm.weight"))
        }
        Family::ModernBert => modernbert(name),
    }
}

/// A tensor that a family's files must have and our model does without.
pub struct FixedTensor {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// ModernBERT's head always has a transform. A model without one is written with a transform that changes nothing: the
/// identity and no activation, between a final norm without weight and a head norm with the final norm's weight. A norm
/// of what is normed already leaves it as it is.
pub fn fixed(family: Family, config: &ModelConfig) -> Vec<FixedTensor> {
    if family != Family::ModernBert || config.head_transform {
        return Vec::new();
    }
    let width = config.hidden_size;
    let identity = (0..width * width).map(|i| if i / width == i % width { 1.0 } else { 0.0 });
    vec![
        FixedTensor { name: "model.final_norm.weight", shape: vec![width], values: vec![1.0; width] },
        FixedTensor { name: "head.dense.weight", shape: vec![width, width], values: identity.collect() },
    ]
}

/// Ours and theirs, of what lies outside of the layers.
type Table = &'static [(&'static str, &'static str)];

const BERT_HEAD: Table = &[
    ("head.dense.weight", "cls.predictions.transform.dense.weight"),
    ("head.dense.bias", "cls.predictions.transform.dense.bias"),
    ("head.norm.weight", "cls.predictions.transform.LayerNorm.weight"),
    ("head.norm.bias", "cls.predictions.transform.LayerNorm.bias"),
    ("decoder.weight", "cls.predictions.decoder.weight"),
    ("decoder.bias", "cls.predictions.bias"),
];

const ROBERTA_HEAD: Table = &[
    ("head.dense.weight", "lm_head.dense.weight"),
    ("head.dense.bias", "lm_head.dense.bias"),
    ("head.norm.weight", "lm_head.layer_norm.weight"),
    ("head.norm.bias", "lm_head.layer_norm.bias"),
    ("decoder.weight", "lm_head.decoder.weight"),
    ("decoder.bias", "lm_head.bias"),
];

const BERT_EMBEDDINGS: Table = &[
    ("embeddings.tokens.weight", "word_embeddings.weight"),
    ("embeddings.positions.weight", "position_embeddings.weight"),
    ("embeddings.types.weight", "token_type_embeddings.weight"),
    ("embeddings.norm.weight", "LayerNorm.weight"),
    ("embeddings.norm.bias", "LayerNorm.bias"),
];

const BERT_LAYER: Table = &[
    ("attention.output", "attention.output.dense"),
    ("attention.norm", "attention.output.LayerNorm"),
    ("mlp.up", "intermediate.dense"),
    ("mlp.down", "output.dense"),
    ("mlp.norm", "output.LayerNorm"),
];

const MODERNBERT: Table = &[
    ("embeddings.tokens.weight", "model.embeddings.tok_embeddings.weight"),
    ("embeddings.norm.weight", "model.embeddings.norm.weight"),
    ("embeddings.norm.bias", "model.embeddings.norm.bias"),
    ("final_norm.weight", "model.final_norm.weight"),
    ("final_norm.bias", "model.final_norm.bias"),
    ("head.dense.weight", "head.dense.weight"),
    ("head.dense.bias", "head.dense.bias"),
    ("head.norm.weight", "head.norm.weight"),
    ("head.norm.bias", "head.norm.bias"),
    ("decoder.weight", "decoder.weight"),
    ("decoder.bias", "decoder.bias"),
];

const MODERNBERT_LAYER: Table = &[
    ("attention.norm", "attn_norm"),
    ("attention.qkv", "attn.Wqkv"),
    ("attention.output", "attn.Wo"),
    ("mlp.norm", "mlp_norm"),
    ("mlp.up", "mlp.Wi"),
    ("mlp.down", "mlp.Wo"),
];

fn bert(name: &str, base: &str, head: Table) -> Option<Source> {
    if let Some(theirs) = look_up(head, name) {
        return Some(Source::one(theirs));
    }
    if let Some(theirs) = look_up(BERT_EMBEDDINGS, name) {
        return Some(Source::one(format!("{base}.embeddings.{theirs}")));
    }
    let (layer, part, kind) = layer_part(name)?;
    let prefix = format!("{base}.encoder.layer.{layer}");
    if part == "attention.qkv" {
        let one = |which: &str| format!("{prefix}.attention.self.{which}.{kind}");
        return Some(Source { tensors: ["query", "key", "value"].map(one).into() });
    }
    look_up(BERT_LAYER, part).map(|theirs| Source::one(format!("{prefix}.{theirs}.{kind}")))
}

fn modernbert(name: &str) -> Option<Source> {
    if let Some(theirs) = look_up(MODERNBERT, name) {
        return Some(Source::one(theirs));
    }
    let (layer, part, kind) = layer_part(name)?;
    let theirs = look_up(MODERNBERT_LAYER, part)?;
    Some(Source::one(format!("model.layers.{layer}.{theirs}.{kind}")))
}

fn look_up(table: Table, name: &str) -> Option<&'static str> {
    table.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs)
}

/// `layers.3.mlp.up.weight` → ("3", "mlp.up", "weight")
fn layer_part(name: &str) -> Option<(&str, &str, &str)> {
    let (layer, rest) = name.strip_prefix("layers.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    Some((layer, part, kind))
}
