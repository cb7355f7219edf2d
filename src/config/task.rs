//! `[task]`: what the model is trained to do.

use crate::tasks::TaskKind;
use serde::{Deserialize, Serialize};

/// What the model is trained to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// "mlm" (default): guess masked tokens.
    pub kind: TaskKind,
}
