//! Some optimiser steps against PyTorch's formulas in f64: `clip_grad_norm_`, then `AdamW.step`.

use crate::twin::{call, close, numbers};
use cloze::kernels::adamw::{ADAMW, AdamW};
use cloze::kernels::gradient_norm::{GRADIENT_NORM, GradientNorm, OPTIMIZER_WORDS, PARTIALS, SUM_SQUARES, SumSquares};
use cloze::kernels::step::UpdateState;
use cloze::kernels::{Kernel, Params};

#[test]
fn steps_are_those_of_pytorch() {
    Optimizer { sum_squares: &SUM_SQUARES, gradient_norm: &GRADIENT_NORM, adamw: &ADAMW }.check().unwrap();
}

/// The kernels of a step.
pub struct Optimizer<'a> {
    pub sum_squares: &'a Kernel,
    pub gradient_norm: &'a Kernel,
    pub adamw: &'a Kernel,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.98;
const EPSILON: f64 = 1e-6;
const WEIGHT_DECAY: f64 = 0.01;
/// The norm limit: the gradients below have norms on both sides of it.
const CLIP: f64 = 10.0;

/// A parameter tensor with its gradient and moments.
#[derive(Clone)]
struct Tensor {
    parameters: Vec<f64>,
    gradients: Vec<f64>,
    first_moments: Vec<f64>,
    second_moments: Vec<f64>,
}

impl Optimizer<'_> {
    /// Six steps over two tensors. In the third step a gradient is infinite, and in the fourth one is NaN.
    pub fn check(&self) -> Result<(), String> {
        let start = |seed, count| Tensor {
            parameters: numbers(seed, count, -1.0, 1.0),
            gradients: vec![0.0; count],
            first_moments: vec![0.0; count],
            second_moments: vec![0.0; count],
        };
        let mut got = vec![start(1, 1000), start(2, 77)];
        let mut want = got.clone();
        let mut state = vec![0.0; OPTIMIZER_WORDS];
        let mut torch = Torch { step: 0, norm: 0.0 };
        for (number, (spoil, skipped, in_a_row)) in [
            (None, 0.0, 0.0),
            (None, 0.0, 0.0),
            (Some(f64::INFINITY), 1.0, 1.0),
            (Some(f64::NAN), 2.0, 2.0),
            (None, 2.0, 0.0),
            (None, 2.0, 0.0),
        ]
        .into_iter()
        .enumerate()
        {
            let rate = 0.01 / (number + 1) as f64;
            // Norms of about 15, 7.5, 5, …
            let size = 0.8 / (number + 1) as f64;
            for (seed, (got, want)) in got.iter_mut().zip(&mut want).enumerate() {
                let count = got.gradients.len();
                got.gradients = numbers((10 * number + seed) as u64, count, -size, size);
                got.gradients[count / 2] = spoil.unwrap_or(got.gradients[count / 2]);
                want.gradients = got.gradients.clone();
            }
            state = self.step(&mut got, state, rate);
            if spoil.is_none() {
                torch.update(&mut want, rate);
                close("gradient norm", &state[5..6], &[torch.norm], 1e-6)?;
            }
            want.iter_mut().for_each(|tensor| tensor.gradients.fill(0.0));
            let applied = f64::from(torch.step);
            close("counters", &[state[0], state[3], state[4]], &[applied, skipped, in_a_row], 0.0)?;
            close("skipping", &[f64::from(u8::from(state[6] == 0.0))], &[f64::from(u8::from(spoil.is_some()))], 0.0)?;
            for (got, want) in got.iter().zip(&want) {
                close("parameters", &got.parameters, &want.parameters, 1e-6)?;
                close("first moments", &got.first_moments, &want.first_moments, 1e-6)?;
                close("second moments", &got.second_moments, &want.second_moments, 2e-6)?;
                close("gradients", &got.gradients, &want.gradients, 0.0)?;
            }
        }
        Ok(())
    }

    /// The twins' step; returns the optimiser's state.
    fn step(&self, tensors: &mut [Tensor], state: Vec<f64>, rate: f64) -> Vec<f64> {
        let squares = tensors.iter().flat_map(|tensor| {
            let p = SumSquares { count: tensor.gradients.len() as u32 };
            call(self.sum_squares, &p).with("x", &tensor.gradients).run().numbers("partials")
        });
        let squares: Vec<f64> = squares.collect();
        assert_eq!(squares.len(), tensors.len() * PARTIALS);
        let [beta1, beta2, rest1, rest2] = [BETA1, BETA2, 1.0 - BETA1, 1.0 - BETA2].map(|x| x as f32);
        let p = GradientNorm {
            count: squares.len() as u32,
            clip: CLIP as f32,
            beta1,
            beta2,
            rest1,
            rest2,
            growth_interval: 0,
        };
        let results = call(self.gradient_norm, &p).with("partials", &squares).with("optimizer", &state).run();
        let state = results.numbers("optimizer");
        let update = UpdateState { learning_rate: rate as f32 };
        for tensor in tensors {
            let count = tensor.parameters.len() as u32;
            let (epsilon, weight_decay) = (EPSILON as f32, WEIGHT_DECAY as f32);
            let p = AdamW { count, beta1, beta2, rest1, rest2, epsilon, weight_decay };
            let twin = call(self.adamw, &p).with_words("update", update.words().to_vec()).with("optimizer", &state);
            let twin = twin.with("parameters", &tensor.parameters).with("gradients", &tensor.gradients);
            let twin = twin.with("first_moments", &tensor.first_moments);
            let results = twin.with("second_moments", &tensor.second_moments).run();
            *tensor = Tensor {
                parameters: results.numbers("parameters"),
                gradients: results.numbers("gradients"),
                first_moments: results.numbers("first_moments"),
                second_moments: results.numbers("second_moments"),
            };
        }
        state
    }
}

/// PyTorch's optimiser as documented. PyTorch leaves skipping steps to the caller; here it is included.
struct Torch {
    step: i32,
    norm: f64,
}

impl Torch {
    fn update(&mut self, tensors: &mut [Tensor], rate: f64) {
        self.step += 1;
        self.norm = tensors.iter().flat_map(|tensor| &tensor.gradients).map(|g| g * g).sum::<f64>().sqrt();
        let coefficient = (CLIP / (self.norm + 1e-6)).min(1.0);
        let (correction1, correction2) = (1.0 - BETA1.powi(self.step), 1.0 - BETA2.powi(self.step));
        for tensor in tensors {
            for i in 0..tensor.parameters.len() {
                let gradient = tensor.gradients[i] * coefficient;
                let (m, v) = (&mut tensor.first_moments[i], &mut tensor.second_moments[i]);
                *m += (1.0 - BETA1) * (gradient - *m);
                *v = BETA2 * *v + (1.0 - BETA2) * gradient * gradient;
                let x = &mut tensor.parameters[i];
                *x -= rate * WEIGHT_DECAY * *x;
                *x -= rate / correction1 * *m / (v.sqrt() / correction2.sqrt() + EPSILON);
            }
        }
    }
}
