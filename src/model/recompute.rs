//! Gradient checkpointing.

use serde::{Deserialize, Serialize};

/// What the backward pass computes again. The more it does, the less memory activations take (Chen et al., "Training deep
/// nets with sublinear memory cost", 2016; Korthikanti et al., "Reducing activation recomputation in large transformer
/// models", 2022). Attention's scores are never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Nothing.
    None,
    /// The outputs of norms and of GELU, which take hardly any arithmetic.
    Elementwise,
    /// These, and q, k and v, which take one product per layer.
    Attention,
    /// All but each layer's input, which takes a second forward pass.
    Layer,
}

impl Recompute {
    /// From the least recomputation to the most.
    pub const ALL: [Recompute; 4] = [Recompute::None, Recompute::Elementwise, Recompute::Attention, Recompute::Layer];
}
