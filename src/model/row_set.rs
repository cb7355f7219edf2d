//! The rows that the last layer goes on with.
//!
//! Behind the last layer's attention every row goes its own way: a loss over K selected rows of N needs that layer's output
//! product, feed-forward block and norms for those rows alone, and so does its gradient. What is left out is multiplied by
//! zero otherwise, so the loss and every gradient stay what they are.

use super::inputs::Inputs;
use super::recorder::Recorder;
use crate::exec::Tensor;

/// Which rows of N = B·T there are.
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

    /// The way back of `gather`: dx [N, width], zero in the rows that are not in the set.
    pub(super) fn scatter(self, r: &mut Recorder, inputs: &Inputs, dy: Tensor) -> Tensor {
        match self {
            RowSet::All => dy,
            RowSet::Selected => r.scatter_rows(inputs.inverse, dy, inputs.shape.selected),
        }
    }
}
