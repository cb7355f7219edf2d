//! The rows that the last layer goes on with.
//!
//! Behind the last layer's attention every row goes its own way: a loss over K masked rows of N needs that layer's output
//! product, feed-forward block and norms for those rows alone, and so does its gradient. What is left out is multiplied by
//! zero otherwise, so the loss and every gradient stay what they are.

use super::inputs::Inputs;
use super::recorder::Recorder;
use crate::exec::Tensor;
use crate::kernels::rows::{GatherRowsArgs, Rows, ScatterRowsArgs};

/// Which rows of N = B·T there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    All,
    /// The K that a batch calls masked.
    Masked,
}

impl Kept {
    /// x [N, width] → its rows that are kept.
    pub(super) fn gather(self, r: &mut Recorder, inputs: &Inputs, x: Tensor) -> Tensor {
        if self == Kept::All {
            return x;
        }
        let shape = rows(inputs, r.program.len(x) / inputs.shape.rows());
        let y = r.activation("gathered", inputs.shape.masked * shape.width as usize);
        r.program.launch(shape, GatherRowsArgs { x, picks: inputs.masked, y });
        y
    }

    /// The way back of `gather`: dx [N, width], zero in the rows that were not kept.
    pub(super) fn scatter(self, r: &mut Recorder, inputs: &Inputs, dy: Tensor) -> Tensor {
        if self == Kept::All {
            return dy;
        }
        let shape = rows(inputs, r.program.len(dy) / inputs.shape.masked);
        let dx = r.activation("d_gathered", inputs.shape.rows() * shape.width as usize);
        r.program.launch(shape, ScatterRowsArgs { dy, slots: inputs.slots, dx });
        dx
    }
}

fn rows(inputs: &Inputs, width: usize) -> Rows {
    Rows { rows: inputs.shape.rows() as u32, picked: inputs.shape.masked as u32, width: width as u32 }
}
