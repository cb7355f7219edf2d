//! Compares a kernel on a GPU with its CPU twin, over the cases of its declaration.

use super::trial::{GUARD_WORDS, Numbers, Output, Trial, record};
use crate::exec::gpu::{Gpu, GpuExecutor, Options};
use crate::exec::{CpuExecutor, Program};
use crate::kernels::{Case, Elem, Kernel, Precision, Variant};
use crate::{Error, Result};
use serde::Serialize;
use std::time::Instant;

/// The cases of a kernel and its twin's results for them.
pub struct Parity {
    kernel: &'static Kernel,
    precision: Precision,
    program: Program,
    trials: Vec<Trial>,
    wanted: Vec<Vec<Output>>,
}

/// The result of checking a variant of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub kernel: &'static str,
    pub variant: &'static str,
    pub precision: Precision,
    /// How many trials were run: those whose launch the variant fits.
    pub trials: usize,
    /// The largest error as a share of the tolerance. Infinite (`null` in JSON) if bits had to be equal and are not, or if a
    /// number is not finite.
    pub worst: f32,
    pub passed: bool,
    /// What is wrong, one line per trial.
    pub problems: Vec<String>,
}

impl Parity {
    /// Runs the twin on every case.
    ///
    /// # Errors
    /// The machine has too little memory for the cases, or the twin writes past an argument.
    pub fn new(kernel: &'static Kernel, precision: Precision) -> Result<Parity> {
        Self::of_cases(kernel, precision, |_| true)
    }

    /// Checks only some cases: for each variant, those with the same shader as the largest case that it fits. So a variant has
    /// one shader to compile, or a few; compiling is what takes the time.
    ///
    /// # Errors
    /// As [`Parity::new`].
    pub fn at_a_glance(kernel: &'static Kernel, precision: Precision) -> Result<Parity> {
        let shader = |case: &Case| {
            kernel.wgsl(kernel.reference(), &case.params, case.present(), precision, wgpu::Features::empty())
        };
        let cases = (kernel.cases)();
        let largest = |variant: &Variant| {
            let fitting = cases.iter().filter(|case| variant.suits(&case.params, precision));
            fitting.max_by_key(|case| kernel.bytes(&case.params, case.present(), precision)).map(shader)
        };
        let chosen: Vec<String> = kernel.variants.iter().filter_map(largest).collect();
        Self::of_cases(kernel, precision, |case| chosen.contains(&shader(case)))
    }

    fn of_cases(kernel: &'static Kernel, precision: Precision, chosen: impl Fn(&Case) -> bool) -> Result<Parity> {
        let (program, trials) = record(kernel, precision, chosen)?;
        let mut executor = CpuExecutor::new(&program)?;
        let mut run =
            |trial: &Trial| trial.run(&mut executor).map_err(|problem| Error::device(format!("the twin: {problem}")));
        let wanted = trials.iter().map(&mut run).collect::<Result<_>>()?;
        Ok(Parity { kernel, precision, program, trials, wanted })
    }

    /// Runs the variant at `place` in the declaration, which the GPU must be able to run. Shaders have bounds checks, or none
    /// as when shipped.
    pub fn check(&self, gpu: &Gpu, place: usize, checked: bool) -> Finding {
        let start = Instant::now();
        let variant: &Variant = &self.kernel.variants[place];
        let suits = |trial: &Trial| variant.suits(&trial.case.params, self.precision);
        let trials = || self.trials.iter().zip(&self.wanted).filter(|(trial, _)| suits(trial));
        let mut finding = Finding {
            kernel: self.kernel.name,
            variant: variant.name,
            precision: self.precision,
            trials: trials().count(),
            worst: 0.0,
            passed: true,
            problems: Vec::new(),
        };
        if !gpu.offers(variant) || finding.trials == 0 {
            finding.fail(format!("{} {}: the device lacks a feature, or no case fits", self.kernel.name, variant.name));
            return finding;
        }
        let options = Options { checked, variant: Some(place), bound_past_end: GUARD_WORDS, ..Default::default() };
        match GpuExecutor::new(gpu, &self.program, options) {
            Err(error) => finding.fail(format!("{} {}: {error}", self.kernel.name, variant.name)),
            Ok(mut executor) => {
                for (trial, wanted) in trials() {
                    match trial.run(&mut executor) {
                        Err(problem) => finding.fail(problem),
                        Ok(got) => finding.compare(trial, &got, wanted),
                    }
                }
            }
        }
        log::debug!("{} {}: {} trials in {:.2?}", finding.kernel, finding.variant, finding.trials, start.elapsed());
        finding
    }
}

impl Finding {
    pub(super) fn fail(&mut self, problem: String) {
        (self.passed, self.worst) = (false, f32::INFINITY);
        self.problems.push(problem);
    }

    /// Takes the worst element of every argument into account, and reports the first argument that differs too much.
    fn compare(&mut self, trial: &Trial, got: &[Output], wanted: &[Output]) {
        let differences: Vec<Difference> =
            got.iter().zip(wanted).filter_map(|(got, want)| Difference::worst(trial, got, want)).collect();
        self.worst = differences.iter().fold(self.worst, |worst, difference| worst.max(difference.share()));
        if let Some(difference) = differences.iter().find(|difference| difference.error > difference.allowed) {
            self.passed = false;
            self.problems.push(format!("{trial}: {}", difference.problem));
        }
    }
}

/// The worst element of an argument.
struct Difference {
    error: f32,
    allowed: f32,
    problem: String,
}

impl Difference {
    /// `None` if the argument has no elements.
    fn worst(trial: &Trial, got: &Output, want: &Output) -> Option<Difference> {
        let allowed = match (want.arg.elem, trial.numbers) {
            (Elem::u32, _) | (_, Numbers::Integers) => 0.0,
            (Elem::f32, Numbers::Real) => allowed_error(trial.kernel.tolerance, &want.words),
            (Elem::real, Numbers::Real) => {
                allowed_error(trial.kernel.tolerance + rounding(trial.precision), &want.words)
            }
        };
        let error = |i: &usize| match want.arg.elem {
            Elem::u32 => f32::from(u8::from(got.words[*i] != want.words[*i])),
            Elem::f32 | Elem::real => difference(f32::from_bits(got.words[*i]), f32::from_bits(want.words[*i])),
        };
        let worst = (0..want.words.len()).max_by(|a, b| error(a).total_cmp(&error(b)))?;
        let show = |word| match want.arg.elem {
            Elem::u32 => format!("{word}"),
            Elem::f32 | Elem::real => format!("{:e}", f32::from_bits(word)),
        };
        let count = (0..want.words.len()).filter(|i| error(i) > allowed).count();
        let problem = format!(
            "{count} of {} elements of `{}` are off; at {worst} got {}, want {} within {allowed:e}",
            want.words.len(),
            want.arg.name,
            show(got.words[worst]),
            show(want.words[worst])
        );
        Some(Difference { error: error(&worst), allowed, problem })
    }

    /// The error as a share of the tolerance.
    fn share(&self) -> f32 {
        if self.error == 0.0 { 0.0 } else { self.error / self.allowed }
    }
}

/// How far two numbers may drift apart when both are stored, relative to them: WGSL lets the device choose which of the two
/// neighbours in f16 a number becomes.
fn rounding(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 0.0,
        Precision::F16 => 1.0 / 1024.0,
    }
}

/// The error relative to the largest finite magnitude of the output. The absolute part is for outputs that are zero apart from
/// rounding, since inputs are about one.
fn allowed_error(tolerance: f32, want: &[u32]) -> f32 {
    let magnitudes = want.iter().map(|&word| f32::from_bits(word).abs()).filter(|x| x.is_finite());
    tolerance * magnitudes.fold(0.0, f32::max) + 1e-9
}

/// Infinite if one is finite and the other is not, or if they are different infinities.
fn difference(got: f32, want: f32) -> f32 {
    match (got.is_finite(), want.is_finite()) {
        (true, true) => (got - want).abs(),
        _ if got == want || (got.is_nan() && want.is_nan()) => 0.0,
        _ => f32::INFINITY,
    }
}
