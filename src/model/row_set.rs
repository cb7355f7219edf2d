//! The rows that the last layer computes.
//!
//! After the attention of the last layer, rows no longer depend on each other. A loss over K selected rows of N needs that
//! layer's output product, feed-forward block and norms for those rows only, and so does its gradient. The gradient of all
//! other rows would be zero, so the loss and every gradient stay the same.

use super::inputs::Inputs;
use super::recorder::Recorder;
use crate::exec::Tensor;

/// Which of the N = B·T rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSet {
    All,
    /// The K that a batch selects.
    Selected,
}

impl RowSet {
    /// x [N, width] → its rows that are in the set.
    pub(super) fn gather(self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> Tensor {
        match self {
            RowSet::All => x,
            RowSet::Selected => r.gather_rows(inputs.selected, x, inputs.shape.rows()),
        }
    }

    /// The backward pass of `gather`: dx [N, width], zero in the rows that are not in the set.
    pub(super) fn scatter(self, r: &mut Recorder, inputs: &Inputs, dy: Tensor) -> Tensor {
        match self {
            RowSet::All => dy,
            RowSet::Selected => r.scatter_rows(inputs.inverse, dy, inputs.shape.selected),
        }
    }
}
