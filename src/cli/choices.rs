//! Values of the library's types that an argument takes by name, with the help text of each.

use crate::data::{DocumentSplit, TokenizerKind};
use crate::model::embedder::Pooling;
use crate::{hf, kernels};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A type whose values have names on the command line.
pub(super) trait Choice: Copy + Send + Sync + 'static {
    /// Every value with its name, and with a help text where the name alone does not explain it.
    const ALL: &'static [(Self, &'static str, Option<&'static str>)];
}

/// Takes the name of a value.
pub(super) fn choice<T: Choice>() -> impl TypedValueParser<Value = T> {
    let names = T::ALL.iter().map(|&(_, name, words)| PossibleValue::new(name).help(words));
    PossibleValuesParser::new(names).map(|name| {
        let named = T::ALL.iter().find(|(_, known, _)| *known == name);
        named.expect("only known names are let through").0
    })
}

impl Choice for DocumentSplit {
    const ALL: &'static [(Self, &'static str, Option<&'static str>)] = &[
        (DocumentSplit::File, "file", Some("The whole file")),
        (DocumentSplit::Line, "line", Some("Each line")),
        (DocumentSplit::BlankLine, "blank-line", Some("The lines up to a blank line")),
    ];
}

impl Choice for TokenizerKind {
    const ALL: &'static [(Self, &'static str, Option<&'static str>)] = &[
        (TokenizerKind::WordPiece, "wordpiece", Some("As in BERT: words, and `##` pieces that continue them")),
        (
            TokenizerKind::Bpe,
            "bpe",
            Some("As in GPT-2, RoBERTa and ModernBERT: merges of bytes, which can spell any text"),
        ),
        (TokenizerKind::Unigram, "unigram", Some("As in SentencePiece: the most likely pieces")),
    ];
}

impl Choice for Pooling {
    const ALL: &'static [(Self, &'static str, Option<&'static str>)] = &[
        (Pooling::Mean, "mean", Some("The mean over all tokens of the text, [CLS] and [SEP] included")),
        (Pooling::Cls, "cls", Some("The output at the first token, [CLS]")),
    ];
}

impl Choice for kernels::Precision {
    const ALL: &'static [(Self, &'static str, Option<&'static str>)] =
        &[(kernels::Precision::F32, "f32", None), (kernels::Precision::F16, "f16", None)];
}

impl Choice for hf::WeightsDtype {
    const ALL: &'static [(Self, &'static str, Option<&'static str>)] = &[
        (hf::WeightsDtype::F32, "f32", None),
        (hf::WeightsDtype::F16, "f16", None),
        (hf::WeightsDtype::Bf16, "bf16", None),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    /// The names of a type's values, which must be all that a config takes.
    fn names_of<T: Choice + DeserializeOwned + PartialEq + Debug>() -> Vec<&'static str> {
        for &(value, name, _) in T::ALL {
            assert_eq!(serde_json::from_value::<T>(name.into()).unwrap(), value);
        }
        let known = serde_json::from_value::<T>("no name".into()).unwrap_err().to_string();
        let count = known.matches('`').count() / 2 - 1;
        assert_eq!(T::ALL.len(), count, "{known}");
        T::ALL.iter().map(|(_, name, _)| *name).collect()
    }

    #[test]
    fn a_name_means_what_it_means_in_a_config() {
        assert_eq!(names_of::<DocumentSplit>(), ["file", "line", "blank-line"]);
        assert_eq!(names_of::<TokenizerKind>(), ["wordpiece", "bpe", "unigram"]);
        assert_eq!(names_of::<kernels::Precision>(), ["f32", "f16"]);
    }
}
