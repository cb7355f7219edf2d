//! Optimisers: what happens to a model between the gradients and the next step.
//!
//! A new optimiser is its file here, its line in [`crate::config::TrainConfig::optimizer`], and its keys.

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

/// The rule by which parameters follow from gradients.
///
/// Parameters are divided into groups, each of which lies in flat tensors of its own with the optimiser's state beside it: what an
/// update does to all of a group alike is a launch or two, whatever the number of layers. A [`Declaration`] tells what a parameter
/// is (embedding, matrix, vector, head) and its shape.
pub trait Optimizer: Send + Sync {
    /// What it keeps of every value of a group's parameters, by name: the names are those in a checkpoint.
    fn slots(&self) -> Vec<&'static [&'static str]>;

    /// The group of a parameter, a place among those of `slots`.
    fn group(&self, parameter: &Declaration) -> usize;

    /// The decays of its first and second moments, for which the device keeps the corrections of their bias
    /// ([`crate::kernels::gradient_norm::OptimizerState`]).
    fn decays(&self) -> [f64; 2];

    /// Records the update of all parameters, which leaves the gradients zero. `state` is the `OptimizerState`, with the
    /// coefficient that gradients are to be multiplied by: 0 where the step is to be skipped. `update` is an `UpdateState`, with the
    /// learning rate.
    fn record_update(&self, r: &mut Recorder, parameters: &Parameters, state: Tensor, update: Tensor);
}

/// Where an optimiser wants parameters to lie. `gradients` is the role of their gradients.
pub fn layout(optimizer: &dyn Optimizer, list: &[Declaration], gradients: Role) -> TrainingLayout {
    let groups = list.iter().map(|parameter| optimizer.group(parameter)).collect();
    TrainingLayout { gradients, groups, slots: optimizer.slots() }
}
