//! Messages about steps whose loss or gradient is not finite.

use super::Metrics;
use crate::Error;
use crate::kernels::gradient_norm::OptimizerState;

/// A line about a step that was skipped.
pub(super) fn skipped(metrics: &Metrics, optimizer: &OptimizerState) -> String {
    format!(
        "step {}: {} is not finite; skipped, {} in all{}",
        metrics.step,
        culprit(metrics),
        optimizer.skipped as u64,
        metrics.loss_scale.map_or(String::new(), |scale| format!("; the loss scale is {scale} now"))
    )
}

/// The error that ends a training whose last `in_a_row` steps were skipped, with what to change before a resume.
pub(super) fn diverged(metrics: &Metrics, in_a_row: u64) -> Error {
    let culprit = culprit(metrics);
    let why = match metrics.loss_scale {
        // A loss is computed before it is scaled, so no loss scale helps.
        Some(scale) if !metrics.loss.is_finite() => format!(
            "{culprit} itself is not finite, at loss scale {scale}: activations of the forward pass are too large for f16. Set \
             train.precision = \"f32\"; where that is not finite either, lower train.learning_rate"
        ),
        Some(scale) => format!(
            "{culprit} is not finite, at loss scale {scale}. Set train.precision = \"f32\" if it is too large for f16 at any \
             scale, or lower train.learning_rate"
        ),
        None => format!("{culprit} is not finite; lower train.learning_rate or train.grad_clip"),
    };
    Error::Diverged(format!("{in_a_row} steps in a row up to step {} were skipped, since {why}", metrics.step))
}

fn culprit(metrics: &Metrics) -> &'static str {
    if metrics.loss.is_finite() { "the gradient" } else { "the loss" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(loss: f64, loss_scale: Option<f64>) -> String {
        let [accuracy, learning_rate, grad_norm, tokens_per_second] = [0.0, 1e-3, f64::NAN, 1.0];
        let metrics = Metrics {
            step: 12,
            tokens: 9,
            loss,
            accuracy,
            learning_rate,
            grad_norm,
            tokens_per_second,
            loss_scale,
            losses: Default::default(),
        };
        diverged(&metrics, 10).to_string()
    }

    #[test]
    fn the_remedy_is_that_of_the_cause() {
        let overflow = message(f64::NAN, Some(1024.0));
        assert!(overflow.contains("the loss itself is not finite, at loss scale 1024"), "{overflow}");
        assert!(overflow.contains("train.precision = \"f32\""), "{overflow}");
        assert!(message(2.0, Some(1.0)).contains("the gradient is not finite, at loss scale 1."));
        let diverged = message(f64::INFINITY, None);
        assert!(
            diverged.contains("lower train.learning_rate or train.grad_clip") && !diverged.contains("f16"),
            "{diverged}"
        );
    }
}
