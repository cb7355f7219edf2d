//! Optimisers: they update the parameters from the gradients.
//!
//! To add an optimiser, write its file here, add it to [`OptimizerKind`] and [`crate::config::TrainConfig::optimizer`], and
//! add its keys.

pub mod adamw;
mod clipping;
pub mod loss_scale;
pub mod muon;
mod schedule;

pub use adamw::AdamW;
pub use clipping::record_norm;
pub use loss_scale::LossScale;
pub use muon::Muon;
pub use schedule::{LearningRate, Schedule};

use crate::exec::{Role, Tensor};
use crate::model::Parameters;
use crate::model::parameters::{Declaration, TrainingLayout};
use crate::model::recorder::Recorder;
use serde::{Deserialize, Serialize};

/// An optimiser, as configs and checkpoints name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    #[default]
    AdamW,
    /// Jordan et al., "Muon", 2024.
    Muon,
}

impl std::fmt::Display for OptimizerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// How parameters are updated from their gradients.
///
/// Parameters are divided into groups. Each group lies in flat tensors of its own, with the optimiser state beside it, so
/// that one or two launches update a whole group, however many layers there are. A [`Declaration`] gives a parameter's kind
/// (embedding, matrix, vector, head) and its shape.
pub trait Optimizer: Send + Sync {
    /// For each group, the names of the state that is kept for every value. Checkpoints use these names.
    fn slots(&self) -> Vec<&'static [&'static str]>;

    /// The group of a parameter, as an index into `slots`.
    fn group(&self, parameter: &Declaration) -> usize;

    /// The decays of its first and second moments. The device keeps the bias corrections for them
    /// ([`crate::kernels::gradient_norm::OptimizerState`]).
    fn decays(&self) -> [f64; 2];

    /// Records the update of all parameters, which also sets the gradients to zero. `state` is the `OptimizerState`, with the
    /// coefficient that gradients are to be multiplied by; 0 means that the step is skipped. `update` is an `UpdateState`,
    /// with the learning rate.
    fn record_update(&self, r: &mut Recorder, parameters: &Parameters, state: Tensor, update: Tensor);
}

/// The layout that an optimiser wants for the parameters. `gradients` is the role of their gradients.
pub fn layout(optimizer: &dyn Optimizer, list: &[Declaration], gradients: Role) -> TrainingLayout {
    let groups = list.iter().map(|parameter| optimizer.group(parameter)).collect();
    TrainingLayout { gradients, groups, slots: optimizer.slots() }
}
