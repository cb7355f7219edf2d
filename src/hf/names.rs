//! Which tensors of a transformers model hold which parameter of ours.

use super::family::Family;
use crate::model::ModelConfig;
use crate::tasks::Task;

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

/// The tensors behind the parameter `name` of a task's model, such as `layers.0.attention.qkv.weight`. `None` where the family
/// has no such parameter.
pub fn source(family: Family, task: &dyn Task, name: &str) -> Option<Source> {
    if let Some(theirs) = task.tensor(family.model_type(), name) {
        return Some(Source::one(theirs));
    }
    match family {
        Family::Bert | Family::Roberta => bert(name, family.model_type()),
        Family::ModernBert if name == "final_norm.weight" && !task.config().head_transform => {
            Some(Source::one("head.norm.weight"))
        }
        Family::ModernBert => modernbert(name),
    }
}

/// A tensor that a family's files must have, although our model does without it.
pub struct FixedTensor {
    pub name: &'static str,
    pub shape: Vec<usize>,
}

impl FixedTensor {
    /// The value that it must hold at the place `at`, counted row by row: a matrix is the identity, and a norm's weight is
    /// all ones.
    pub fn value(&self, at: usize) -> f32 {
        match self.shape[..] {
            [_, width] if at / width != at % width => 0.0,
            _ => 1.0,
        }
    }

    /// All values that it must hold.
    pub fn values(&self) -> Vec<f32> {
        (0..self.shape.iter().product()).map(|at| self.value(at)).collect()
    }
}

/// ModernBERT's head always has a transform. A model without one is written with a transform that changes nothing: the
/// identity without activation, between a final norm of ones and a head norm with the weight of our final norm. A norm does
/// not change what is already normalized.
pub fn fixed(family: Family, config: &ModelConfig) -> Vec<FixedTensor> {
    if family != Family::ModernBert || config.head_transform {
        return Vec::new();
    }
    let width = config.hidden_size;
    vec![
        FixedTensor { name: "model.final_norm.weight", shape: vec![width] },
        FixedTensor { name: "head.dense.weight", shape: vec![width, width] },
    ]
}

/// The name of a family's decoder matrix. A tied decoder may be saved under it too.
pub fn decoder_weight(family: Family) -> &'static str {
    match family {
        Family::Bert => "cls.predictions.decoder.weight",
        Family::Roberta => "lm_head.decoder.weight",
        Family::ModernBert => "decoder.weight",
    }
}

/// The second name of the decoder's bias. transformers 5 computes with it, and transformers 4 treats it as the same tensor.
/// Only a decoder that is not tied must be saved with both.
pub fn decoder_bias_copy(family: Family) -> Option<&'static str> {
    match family {
        Family::Bert => Some("cls.predictions.decoder.bias"),
        Family::Roberta => Some("lm_head.decoder.bias"),
        Family::ModernBert => None,
    }
}

/// The names that a tensor may have in files; the first that is there counts. Old checkpoints call the weight and bias of
/// norms gamma and beta, and encoders saved by themselves leave out the model's name.
pub fn spellings(family: Family, name: &str) -> Vec<String> {
    let (base, bias) = match family {
        Family::Bert => ("bert.", "cls.predictions.bias"),
        Family::Roberta => ("roberta.", "lm_head.bias"),
        Family::ModernBert => ("model.", "decoder.bias"),
    };
    let copy = decoder_bias_copy(family).filter(|_| name == bias);
    let legacy = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    let bare = [name, &legacy].map(|name| name.strip_prefix(base).map(String::from));
    copy.map(String::from)
        .into_iter()
        .chain([name.to_string(), legacy.clone()])
        .chain(bare.into_iter().flatten())
        .collect()
}

/// Our name and theirs, for parameters outside of the layers.
type Table = &'static [(&'static str, &'static str)];

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
];

const MODERNBERT_LAYER: Table = &[
    ("attention.norm", "attn_norm"),
    ("attention.qkv", "attn.Wqkv"),
    ("attention.output", "attn.Wo"),
    ("mlp.norm", "mlp_norm"),
    ("mlp.up", "mlp.Wi"),
    ("mlp.down", "mlp.Wo"),
];

fn bert(name: &str, base: &str) -> Option<Source> {
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
