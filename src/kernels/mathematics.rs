//! What a kernel computes, once more: in f64, as plain as it can be written, and sharing nothing with its twin but the random
//! words of dropout. Tests hold the twins to it.

use super::dropout::dropping;
use super::kernel::Params;
use super::step::StepState;
use crate::random::philox_lanes;

/// The mathematics of a kernel. Each of its outputs has a formula, or is a gradient.
#[derive(Clone, Copy)]
pub struct Mathematics {
    /// Inputs that follow from other inputs, such as the log-sum-exps that a forward pass leaves for the backward pass.
    pub given: Option<Formula>,
    pub formula: Option<Formula>,
    pub gradient: Option<Gradient>,
}

/// Arguments as a function of arguments.
#[derive(Clone, Copy)]
pub struct Formula {
    /// The arguments that it gives.
    pub of: &'static [&'static str],
    /// What each of them holds, from the launch parameters and the arguments as they are before the launch.
    pub values: fn(&[u32], &Contents) -> Vec<Vec<f64>>,
}

/// Outputs as the gradient of a sum, by which finite differences check them. What is added to an output's content has that of
/// the launch before it in front.
#[derive(Clone, Copy)]
pub struct Gradient {
    /// Each variable with the output that holds the gradient with respect to it. A variable is the argument of its name; one that
    /// is no argument is as long as its output, and zero.
    pub of: &'static [(&'static str, &'static str)],
    /// The terms of the sum. It has no gradient where one of them is not finite; outputs need a formula there.
    pub terms: fn(&[u32], &Contents) -> Vec<f64>,
}

/// What an argument holds: numbers, or words where these are what counts. Empty for an absent one.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub numbers: Vec<f64>,
    pub words: Vec<u32>,
}

impl std::ops::Deref for Content {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.numbers
    }
}

/// What arguments hold, by name.
#[derive(Clone, Debug, Default)]
pub struct Contents(Vec<(&'static str, Content)>);

impl Contents {
    /// Panics where a declaration names no argument, nor a variable of its gradient: it is a mistake there.
    pub fn get(&self, name: &str) -> &Content {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, content)| content).unwrap_or_else(|| panic!("the kernel has no argument `{name}`"))
    }

    pub fn set(&mut self, name: &'static str, content: Content) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = content,
            None => self.0.push((name, content)),
        }
    }
}

/// The terms of an inner product; none with an absent argument.
pub fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// a + b, or a where b is absent.
pub fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    if b.is_empty() { a.to_vec() } else { a.iter().zip(b).map(|(a, b)| a + b).collect() }
}

/// y = x·Wᵀ + bias for x [rows, inputs] and W [outputs, inputs].
pub fn linear(x: &[f64], weight: &[f64], bias: &[f64], inputs: u32) -> Vec<f64> {
    let rows = x.chunks(inputs as usize);
    rows.flat_map(|x| {
        let products = weight.chunks(inputs as usize).map(|weight| times(x, weight).iter().sum::<f64>());
        plus(&products.collect::<Vec<_>>(), bias)
    })
    .collect()
}

/// x·Φ(x).
pub fn gelu(x: &f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// 2/√π e^(−x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, a series without cancellation.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    let mut n = 0;
    while term.abs() > 1e-18 * sum.abs() {
        n += 1;
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// The activations of a microbatch, rows of `width`, through dropout; as they are without a `step`. Those of a step's whole batch
/// are numbered on, and eight of them have one call of the generator.
pub fn dropped(x: &[f64], width: u32, step: &[u32], site: u32, rate: f32) -> Vec<f64> {
    if step.is_empty() {
        return x.to_vec();
    }
    let step = StepState::from_words(step);
    let numbered = x.iter().zip(u64::from(step.first_row) * u64::from(width)..);
    numbered.map(|(x, number)| x * dropout_mask(step, site, number / 8, (number % 8) as u32, rate)).collect()
}

/// What dropout multiplies an element of an octet of a site by.
pub fn dropout_mask(step: &StepState, site: u32, octet: u64, element: u32, rate: f32) -> f64 {
    let counter = [[octet as u32], [site], [step.number], [(octet >> 32) as u32]];
    let words = philox_lanes::<7, 1>([step.seed_low, step.seed_high], counter);
    let number = words[element as usize % 4][0] >> (element / 4 * 16) & 0xffff;
    if number < dropping(rate) { 0.0 } else { 65536.0 / f64::from(65536 - dropping(rate)) }
}
