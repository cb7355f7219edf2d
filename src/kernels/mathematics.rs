//! What a kernel computes, a second time: in f64, as plain as possible, and sharing nothing with its twin but the random words
//! of dropout. Tests compare the twins with it.

use super::dropout::dropping;
use super::kernel::Params;
use super::step::StepState;
use crate::random::philox_lanes;

/// The mathematics of a kernel. Each of its outputs has a formula or is a gradient.
#[derive(Clone, Copy)]
pub struct Mathematics {
    /// Inputs that follow from other inputs, such as the log-sum-exps that a forward pass leaves for the backward pass.
    pub given: Option<Formula>,
    pub formula: Option<Formula>,
    pub gradient: Option<Gradient>,
}

/// Arguments as a function of other arguments.
#[derive(Clone, Copy)]
pub struct Formula {
    /// The names of the arguments that it computes.
    pub of: &'static [&'static str],
    /// The content of each, from the launch parameters and the arguments' content before the launch.
    pub values: fn(&[u32], &Contents) -> Vec<Vec<f64>>,
}

/// Outputs that are the gradient of a sum; finite differences check them. If a launch adds to an output, the output's content
/// before the launch is included.
#[derive(Clone, Copy)]
pub struct Gradient {
    /// Each variable, and the output that holds the gradient with respect to it. A variable is the argument of the same name;
    /// if there is none, it is as long as its output, and zero.
    pub of: &'static [(&'static str, &'static str)],
    /// The terms of the sum. Where a term is not finite there is no gradient, so outputs need a formula there.
    pub terms: fn(&[u32], &Contents) -> Vec<f64>,
}

/// What an argument holds: numbers, or raw words where those matter. Empty for an absent one.
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
    /// Panics if a declaration names no argument and no variable of its gradient: that is a mistake in the declaration.
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

/// The terms of an inner product; empty if an argument is absent.
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

/// The activations of a microbatch, rows of `width`, after dropout; unchanged without a `step`. Elements are numbered through
/// the step's whole batch, and eight of them share one call of the generator.
pub fn dropped(x: &[f64], width: u32, step: &[u32], site: u32, rate: f32) -> Vec<f64> {
    if step.is_empty() {
        return x.to_vec();
    }
    let step = StepState::from_words(step);
    let numbered = x.iter().zip(u64::from(step.first_row) * u64::from(width)..);
    numbered.map(|(x, number)| x * dropout_mask(step, site, number / 8, (number % 8) as u32, rate)).collect()
}

/// The dropout factor for an element of an octet at a site.
pub fn dropout_mask(step: &StepState, site: u32, octet: u64, element: u32, rate: f32) -> f64 {
    let counter = [[octet as u32], [site], [step.number], [(octet >> 32) as u32]];
    let words = philox_lanes::<7, 1>([step.seed_low, step.seed_high], counter);
    let number = words[element as usize % 4][0] >> (element / 4 * 16) & 0xffff;
    if number < dropping(rate) { 0.0 } else { 65536.0 / f64::from(65536 - dropping(rate)) }
}
