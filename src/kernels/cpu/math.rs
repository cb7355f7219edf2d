//! exp, erf and GELU in f32, free of branches so that loops over them vectorise; `shaders/shared/gelu.wgsl` uses the
//! same rational erf.

use super::simd::dispatch;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// These functions with this machine's instructions: see [`with_math`].
#[derive(Clone, Copy)]
pub struct Math {
    /// Whether a multiply-add is one instruction. The compiler sees a constant.
    fused: bool,
}

/// Like `simd`, for a body that computes these functions. Use loops in the body: a closure that is not `inlined!` may be
/// compiled for the oldest machine, where each multiply-add is a call.
#[inline(always)]
pub fn with_math<R>(body: impl FnOnce(Math) -> R) -> R {
    dispatch(WithMath(body))
}

struct WithMath<Body>(Body);

impl<R, Body: FnOnce(Math) -> R> pulp::WithSimd for WithMath<Body> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> R {
        (self.0)(Math { fused: !S::IS_SCALAR })
    }
}

impl Math {
    /// a·b + c. `f32::mul_add` is only used where the machine has the instruction, since elsewhere it is a slow call.
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        if self.fused { a.mul_add(b, c) } else { a * b + c }
    }

    /// Σ coefficients[i]·xⁱ.
    #[inline(always)]
    fn polynomial<const N: usize>(self, x: f32, coefficients: [f32; N]) -> f32 {
        let mut sum = 0.0;
        for &coefficient in coefficients.iter().rev() {
            sum = self.mul_add(sum, x, coefficient);
        }
        sum
    }

    /// e^x with a relative error below 3e-7; arguments are clamped to where the result is a normal number.
    #[inline(always)]
    pub fn exp(self, x: f32) -> f32 {
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
        let x = x.clamp(-87.0, 88.0);
        let rounded = self.mul_add(x, LOG2_E, ROUND); // the integer, in the low bits
        let n = rounded - ROUND;
        let r = self.mul_add(n, 2.121_944_4e-4, self.mul_add(n, -0.693_359_4, x)); // ln 2 in two parts
        let p = self.polynomial(r, [1.0, 1.0, 0.5, 0.166_666_66, 0.041_666_485, 0.008_333_361, 0.001_390_8]);
        p * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits())) // p·2ⁿ
    }

    /// erf(x) as x·P(x²)/Q(x²) on [−4, 4], a minimax fit made for Cloze: absolute error below 4e-7.
    #[inline(always)]
    pub fn erf(self, x: f32) -> f32 {
        let x = x.clamp(-4.0, 4.0);
        let p = [FRAC_2_SQRT_PI, 0.196_247_01, 0.053_467_225, 0.004_003_566, 2.880_403_8e-4, 1.974_852_5e-6];
        let q = [1.0, 0.507_250_55, 0.116_475_62, 0.015_444_257, 0.001_216_342_2, 3.748_104_4e-5];
        (x * self.polynomial(x * x, p) / self.polynomial(x * x, q)).clamp(-1.0, 1.0)
    }

    /// x·Φ(x), the exact GELU of Hendrycks and Gimpel (2016), as BERT uses it.
    #[inline(always)]
    pub fn gelu(self, x: f32) -> f32 {
        0.5 * x * (1.0 + self.erf(x * FRAC_1_SQRT_2))
    }

    /// d gelu / dx = Φ(x) + x·φ(x).
    #[inline(always)]
    pub fn gelu_gradient(self, x: f32) -> f32 {
        const DENSITY: f32 = 0.398_942_3; // 1/√(2π)
        0.5 * (1.0 + self.erf(x * FRAC_1_SQRT_2)) + x * DENSITY * self.exp(-0.5 * x * x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Math; 2] = [Math { fused: false }, Math { fused: true }];

    #[test]
    fn exp_is_accurate() {
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let want = f64::from(x).exp();
            for math in BOTH {
                assert!((f64::from(math.exp(x)) / want - 1.0).abs() < 3e-7, "exp({x}), fused {}", math.fused);
            }
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
            for math in BOTH {
                assert!((f64::from(math.erf(x as f32)) - want).abs() < 4e-7, "erf({x}), fused {}", math.fused);
            }
        }
    }
}
