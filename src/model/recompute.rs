//! Gradient checkpointing.

use serde::{Deserialize, Serialize};

/// What the backward pass computes again, the more of it the less memory for activations (Chen et al., "Training deep nets
/// with sublinear memory cost", 2016; Korthikanti et al., "Reducing activation recomputation in large transformer models",
/// 2022). Attention's scores are never kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Nothing.
    None,
    /// The outputs of norms and of GELU: hardly any arithmetic.
    Elementwise,
    /// These, and q, k and v, which is one product a layer.
    Attention,
    /// All but each layer's input: a second forward pass.
    Layer,
}

impl Recompute {
    /// From the least to the most.
    pub const ALL: [Recompute; 4] = [Recompute::None, Recompute::Elementwise, Recompute::Attention, Recompute::Layer];
}
