//! The defaults of a model's shape.

use super::config::{Activation, ModelConfig, NormPlacement, Positions};
use serde::{Deserialize, Serialize};

/// A named set of defaults for the shape of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// After ModernBERT: pre-norm, rotary positions, gated GELU, no biases.
    Modern,
    /// After BERT and RoBERTa: post-norm, learned positions, GELU, biases.
    Bert,
}

impl Recipe {
    /// A model of these sizes, not checked. All other keys are as the recipe has them.
    pub fn config(self, vocab_size: usize, layers: usize, hidden_size: usize, heads: usize) -> ModelConfig {
        let is_bert = self == Recipe::Bert;
        let activation = if is_bert { Activation::Gelu } else { Activation::GatedGelu };
        ModelConfig {
            init: None,
            recipe: self,
            vocab_size,
            layers,
            hidden_size,
            heads,
            intermediate_size: intermediate_size(hidden_size, activation),
            norm: if is_bert { NormPlacement::Post } else { NormPlacement::Pre },
            first_attention_norm: is_bert,
            bias: is_bert,
            positions: if is_bert { Positions::Learned } else { Positions::Rope },
            rope_base: 10_000.0,
            rope_local_base: 10_000.0,
            position_offset: 0,
            max_positions: 512,
            activation,
            type_vocab_size: if is_bert { 2 } else { 0 },
            embedding_norm: true,
            final_norm: !is_bert,
            head_transform: is_bert,
            tied_decoder: true,
            decoder_bias: true,
            norm_eps: if is_bert { 1e-12 } else { 1e-5 },
            initializer_range: if is_bert { (0.4 / hidden_size.max(1) as f64).sqrt() } else { 0.02 },
            scaled_output_init: !is_bert,
            mimetic_init: is_bert,
            sliding_window: 0,
            global_every: 3,
            dropout: 0.0,
            attention_dropout: 0.0,
        }
    }
}

/// The default width of the feed-forward layer: four times the hidden size. A gated layer has three matrices instead of two.
/// So that it has as many weights, it gets two thirds of that, to the nearest multiple of 16 (Shazeer, "GLU variants improve
/// Transformer", 2020).
pub fn intermediate_size(hidden_size: usize, activation: Activation) -> usize {
    let plain = hidden_size.saturating_mul(4);
    match activation {
        Activation::Gelu => plain,
        Activation::GatedGelu => (plain.saturating_mul(2).saturating_add(24) / 48 * 16).max(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intermediate_sizes() {
        assert_eq!(intermediate_size(128, Activation::Gelu), 512);
        assert_eq!(intermediate_size(128, Activation::GatedGelu), 336);
        assert_eq!(intermediate_size(768, Activation::GatedGelu), 2048);
        assert_eq!(intermediate_size(1, Activation::GatedGelu), 16);
        assert_eq!(intermediate_size(usize::MAX, Activation::Gelu), usize::MAX);
    }
}
