//! exp, erf and GELU in f32, free of branches so that loops over them vectorise; `shaders/shared/gelu.wgsl` uses the
//! same rational erf.

use std::f32::consts::{FRAC_2_SQRT_PI, LOG2_E};

/// Σ coefficients[i]·xⁱ by Horner's rule. Not in fused multiply-adds: where a machine has none, each would be a call.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().rev().reduce(|sum, coefficient| sum * x + coefficient).expect("it has coefficients")
}

/// e^x with a relative error below 3e-7; arguments are clamped to where the result is a normal number.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * LOG2_E + ROUND; // the integer, in the low bits
    let n = rounded - ROUND;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4; // ln 2 in two parts
    let p = polynomial(r, [1.0, 1.0, 0.5, 0.166_666_66, 0.041_666_485, 0.008_333_361, 0.001_390_8]);
    p * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits())) // p·2ⁿ
}

/// erf(x) as x·P(x²)/Q(x²) on [−4, 4], a least-maximum fit made for Cloze: absolute error below 4e-7.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let t = x * x;
    let p = polynomial(t, [FRAC_2_SQRT_PI, 0.196_247_01, 0.053_467_225, 0.004_003_566, 2.880_403_8e-4, 1.974_852_5e-6]);
    let q = polynomial(t, [1.0, 0.507_250_55, 0.116_475_62, 0.015_444_257, 0.001_216_342_2, 3.748_104_4e-5]);
    (x * p / q).clamp(-1.0, 1.0)
}

/// x·Φ(x), the exact GELU of Hendrycks and Gimpel (2016), as BERT uses it.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// d gelu / dx = Φ(x) + x·φ(x).
#[inline(always)]
pub fn gelu_gradient(x: f32) -> f32 {
    const DENSITY: f32 = 0.398_942_3; // 1/√(2π)
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) + x * DENSITY * exp(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) / want - 1.0).abs() < 3e-7, "exp({x})");
        }
    }

    /// Against the Maclaurin series in f64, which converges for every x that matters.
    #[test]
    fn erf_is_accurate() {
        for i in -45_000..45_000 {
            let x = f64::from(i) * 1e-4;
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            let want = sum * std::f64::consts::FRAC_2_SQRT_PI;
            assert!((f64::from(erf(x as f32)) - want).abs() < 4e-7, "erf({x})");
        }
    }
}
