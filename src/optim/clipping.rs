//! The global gradient norm. It decides whether the gradients of a step are clipped, skipped or left as they are.

use super::LossScale;
use crate::exec::Tensor;
use crate::kernels::gradient_norm::{GradientNorm, GradientNormArgs, PARTIALS, SumSquares, SumSquaresArgs};
use crate::model::Parameters;
use crate::model::recorder::Recorder;

/// Records the norm over all gradients. It writes to `state` the coefficient that gradients are to be multiplied by. The
/// coefficient undoes the loss scale and clips the norm to `grad_clip` (0 for no limit); it is 0 if the norm is not finite.
/// The decays are the optimiser's.
pub fn record_norm(
    r: &mut Recorder,
    parameters: &Parameters,
    state: Tensor,
    [beta1, beta2]: [f64; 2],
    grad_clip: f64,
    scale: LossScale,
) {
    let count = parameters.flats.len() * PARTIALS;
    let partials = r.statistics("partials", count);
    for (number, flat) in parameters.flats.iter().enumerate() {
        let part = r.program.part(partials, number * PARTIALS, PARTIALS, "optimizer.partials");
        r.program.launch(SumSquares { count: flat.len as u32 }, SumSquaresArgs { x: flat.gradients(), partials: part });
    }
    let norm = GradientNorm {
        count: count as u32,
        clip: grad_clip as f32,
        beta1: beta1 as f32,
        beta2: beta2 as f32,
        rest1: (1.0 - beta1) as f32,
        rest2: (1.0 - beta2) as f32,
        growth_interval: scale.growth_interval(),
    };
    r.program.launch(norm, GradientNormArgs { partials, optimizer: state });
}
