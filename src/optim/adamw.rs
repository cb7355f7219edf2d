//! AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019), as PyTorch computes it.

use super::Optimizer;
use crate::exec::Tensor;
use crate::kernels::adamw::{AdamW as Params, AdamWArgs};
use crate::model::Parameters;
use crate::model::parameters::{Declaration, Flat};
use crate::model::recorder::Recorder;

/// The settings of AdamW that stay the same for a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    pub epsilon: f64,
    /// Weight decay of matrices and embeddings; biases and norm weights are not decayed.
    pub weight_decay: f64,
}

impl Default for AdamW {
    /// The defaults of a config.
    fn default() -> Self {
        AdamW { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weight_decay: 0.01 }
    }
}

/// The groups: matrices and embeddings, which are decayed, and vectors, which are not.
const DECAYED: usize = 0;
const NOT_DECAYED: usize = 1;

impl Optimizer for AdamW {
    fn slots(&self) -> Vec<&'static [&'static str]> {
        vec![&["first", "second"]; 2]
    }

    fn group(&self, parameter: &Declaration) -> usize {
        if parameter.shape.len() > 1 { DECAYED } else { NOT_DECAYED }
    }

    fn decays(&self) -> [f64; 2] {
        [self.beta1, self.beta2]
    }

    fn record_update(&self, r: &mut Recorder, parameters: &Parameters, state: Tensor, update: Tensor) {
        parameters.flats.iter().for_each(|flat| self.record_flat(r, flat, flat.group, state, update));
    }
}

impl AdamW {
    /// Records the update of the parameters in a flat tensor. `group` is one of AdamW's groups.
    pub(super) fn record_flat(&self, r: &mut Recorder, flat: &Flat, group: usize, state: Tensor, update: Tensor) {
        let params = Params {
            count: flat.len as u32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            epsilon: self.epsilon as f32,
            weight_decay: if group == DECAYED { self.weight_decay as f32 } else { 0.0 },
        };
        let args = AdamWArgs {
            update,
            optimizer: state,
            parameters: flat.values,
            gradients: flat.gradients(),
            first_moments: flat.state[0],
            second_moments: flat.state[1],
            copy: flat.copy,
        };
        r.program.launch(params, args);
    }
}
