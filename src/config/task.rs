//! `[task]`: what the model is trained to do.

use crate::tasks::TaskKind;
use serde::{Deserialize, Serialize};

/// What the model is trained to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// "mlm" (default): guess masked tokens. "nsp": BERT's of 2018, masked tokens, and whether the second segment of a pair follows
    /// the first in its document; for a model with the recipe "bert".
    pub kind: TaskKind,
}
