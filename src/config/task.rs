//! `[task]`: what the model is trained to do.

use crate::tasks::TaskKind;
use serde::{Deserialize, Serialize};

/// What the model is trained to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// "mlm" (default): masked language modelling. "nsp": BERT's original objective, masked language modelling and
    /// next-sentence prediction (does the second segment of a pair follow the first in its document?). It needs
    /// `type_vocab_size` of 2 or more and a `head_transform`, as the recipe "bert" has them.
    pub kind: TaskKind,
}
