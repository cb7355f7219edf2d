//! The loss scale of training in half precision (Micikevicius et al., "Mixed precision training", 2018). Losses are
//! multiplied by it, so that small gradients do not vanish. The device halves it after an overflow, and doubles it after a
//! number of steps without one.

use crate::kernels::Precision;
use crate::kernels::gradient_norm::{FIRST_LOSS_SCALE, GROWTH_INTERVAL, OptimizerState};
use bytemuck::Zeroable;

/// Whether losses are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossScale {
    None,
    /// By the scale that the device keeps in its `OptimizerState`.
    Dynamic,
}

impl LossScale {
    /// The loss scaling of a program that stores activations in this precision.
    pub fn of(precision: Precision) -> Self {
        if precision == Precision::F32 { LossScale::None } else { LossScale::Dynamic }
    }

    pub fn is_dynamic(self) -> bool {
        self == LossScale::Dynamic
    }

    /// Steps without overflow after which the scale doubles; 0 where losses are not scaled.
    pub(super) fn growth_interval(self) -> u32 {
        if self == LossScale::None { 0 } else { GROWTH_INTERVAL }
    }
}

/// The state at the beginning of training.
pub fn first_state() -> OptimizerState {
    OptimizerState { loss_scale: FIRST_LOSS_SCALE, ..OptimizerState::zeroed() }
}
