//! The families of transformers that compute what a config describes.

use crate::model::{Activation, ModelConfig, NormPlacement, Positions};

/// A model family of transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bert,
    Roberta,
    ModernBert,
}

impl Family {
    pub const ALL: [Family; 3] = [Family::Bert, Family::Roberta, Family::ModernBert];

    /// As transformers writes it in `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::Bert => "bert",
            Family::Roberta => "roberta",
            Family::ModernBert => "modernbert",
        }
    }

    /// The family that computes what a config describes, if there is one.
    pub fn of(config: &ModelConfig) -> Option<Family> {
        Family::ALL.into_iter().find(|family| family.misfits(config).is_empty())
    }

    /// The family that comes closest to a config, and the parts of the config that it does not compute.
    pub fn closest(config: &ModelConfig) -> (Family, Vec<Misfit>) {
        let misfits = Family::ALL.map(|family| (family, family.misfits(config)));
        misfits.into_iter().min_by_key(|(_, misfits)| misfits.len()).expect("there are families")
    }

    /// The parts of a config that the family does not compute.
    pub fn misfits(self, config: &ModelConfig) -> Vec<Misfit> {
        let shared = (config.embedding_norm, Misfit { key: "embedding_norm", needed: "true" });
        let own = match self {
            Family::Bert | Family::Roberta => bert(self, config),
            Family::ModernBert => modernbert(config),
        };
        [shared].into_iter().chain(own).filter(|(fits, _)| !fits).map(|(_, misfit)| misfit).collect()
    }
}

/// A key of `[model]` that keeps a family from computing the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub key: &'static str,
    /// The value that the family needs.
    pub needed: &'static str,
}

fn bert(family: Family, c: &ModelConfig) -> Vec<(bool, Misfit)> {
    let offset = match family {
        Family::Roberta => (c.position_offset > 0, Misfit { key: "position_offset", needed: "above 0" }),
        _ => (c.position_offset == 0, Misfit { key: "position_offset", needed: "0" }),
    };
    let mut list = vec![offset];
    for (fits, key, needed) in [
        (c.norm == NormPlacement::Post, "norm", "\"post\""),
        (c.bias, "bias", "true"),
        (c.positions == Positions::Learned, "positions", "\"learned\""),
        (c.activation == Activation::Gelu, "activation", "\"gelu\""),
        (c.type_vocab_size > 0, "type_vocab_size", "above 0"),
        (!c.final_norm, "final_norm", "false"),
        (c.head_transform, "head_transform", "true"),
        (c.decoder_bias, "decoder_bias", "true"),
        (c.sliding_window == 0, "sliding_window", "0"),
    ] {
        list.push((fits, Misfit { key, needed }));
    }
    list
}

fn modernbert(c: &ModelConfig) -> Vec<(bool, Misfit)> {
    [
        (c.norm == NormPlacement::Pre, "norm", "\"pre\""),
        (!c.first_attention_norm, "first_attention_norm", "false"),
        (c.positions == Positions::Rope, "positions", "\"rope\""),
        (c.activation == Activation::GatedGelu, "activation", "\"gated-gelu\""),
        (c.type_vocab_size == 0, "type_vocab_size", "0"),
        (c.final_norm, "final_norm", "true"),
        // Without a transform, the head is written with one that changes nothing: see `names::fixed`.
        (c.head_transform || !c.bias, "head_transform", "true, as the model has biases"),
        (c.sliding_window.is_multiple_of(2), "sliding_window", "even"),
    ]
    .map(|(fits, key, needed)| (fits, Misfit { key, needed }))
    .into()
}
