//! Compares twins with the mathematics that their kernels declare: formulas in f64, and finite differences for gradients. Every
//! case of a declaration is checked, so a new kernel needs no line here.

use crate::finite::slope;
use crate::launch::Launch;
use crate::twin::{close, largest, within};
use cloze::device::probes::PROBES;
use cloze::kernels::mathematics::{Content, Contents, Gradient};
use cloze::kernels::{Access, Arg, Case, KERNELS, Kernel};
use cloze::random::{Site, Stream};
use rayon::prelude::*;

/// The smallest magnitude that a kernel's tolerance is relative to, if a whole output is small: inputs are about one.
const SMALL: f64 = 1.0;
/// The allowed error of finite differences.
const NOISE: f64 = 1e-9;
/// The most operations for the differences of a variable. Within them all of its elements are moved, or as many as possible.
const BUDGET: f64 = 1e7;
/// At least this many elements are moved, if there are as many.
const LEAST: usize = 24;
/// Random directions that a variable is moved along as a whole.
const DIRECTIONS: usize = 3;

#[test]
fn twins_compute_what_is_declared() {
    let chosen = std::env::var("CLOZE_KERNEL").ok();
    let all = KERNELS.iter().chain(PROBES);
    let kernels: Vec<_> = all.filter(|k| chosen.as_ref().is_none_or(|name| name == k.name)).collect();
    assert!(!kernels.is_empty(), "CLOZE_KERNEL names no kernel: {chosen:?}");
    let problems: Vec<String> = kernels.par_iter().filter_map(|kernel| check(kernel).err()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_output_has_its_mathematics() {
    let problems: Vec<String> = KERNELS.iter().chain(PROBES).flat_map(|kernel| unchecked(kernel)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The outputs of a kernel for which its declaration has no formula, gradient or case.
pub fn unchecked(kernel: &Kernel) -> Vec<String> {
    let written = |access: Access| !access.reads_only() && !access.is_scratch();
    let problem = |(place, arg): (usize, &Arg)| {
        if !outputs_of(kernel).contains(&arg.name) {
            return Some(format!("`{}` is declared with no `formula` or `gradient` of `{}`", kernel.name, arg.name));
        }
        let given = (kernel.cases)().iter().any(|case| case.present() >> place & 1 == 1);
        (!given).then(|| format!("`{}` is declared with no case that has `{}`", kernel.name, arg.name))
    };
    kernel.args.iter().enumerate().filter(|(_, arg)| written(arg.access)).filter_map(problem).collect()
}

/// The outputs that a kernel's mathematics cover.
pub fn outputs_of(kernel: &Kernel) -> Vec<&'static str> {
    let formula = kernel.mathematics.formula.map_or(&[][..], |formula| formula.of);
    let gradient = kernel.mathematics.gradient.map_or(&[][..], |gradient| gradient.of);
    formula.iter().copied().chain(gradient.iter().map(|(_, output)| *output)).collect()
}

/// Errors with what is wrong with the twin of a kernel.
pub fn check(kernel: &Kernel) -> Result<(), String> {
    check_spoilt(kernel, |_, _| ())
}

/// The same for a twin whose outputs are handed to `spoil` by name.
pub fn check_spoilt(kernel: &Kernel, spoil: impl Fn(&str, &mut [f32])) -> Result<(), String> {
    let cases = (kernel.cases)();
    let records = records_of(kernel, &cases);
    let mut gradients = 0;
    for (number, case) in cases.iter().enumerate() {
        let launch = Launch::new(kernel, case, number);
        let results = launch.run(&spoil);
        check_formula(&launch, &results, &records)?;
        gradients += usize::from(check_gradient(&launch, &results)?);
    }
    assert!(kernel.mathematics.gradient.is_none() || gradients > 0, "{}: no case has a gradient", kernel.name);
    Ok(())
}

/// The arguments that have the same length in every case, such as the optimiser's state. Their elements are different
/// quantities, so each is compared by itself.
fn records_of(kernel: &Kernel, cases: &[Case]) -> Vec<&'static str> {
    let records = kernel.args.iter().filter(|arg| {
        let len = |case: &Case| (arg.len)(&case.params);
        cases.iter().all(|case| len(case) == len(&cases[0]))
    });
    records.map(|arg| arg.name).collect()
}

fn check_formula(launch: &Launch, results: &Contents, records: &[&str]) -> Result<(), String> {
    let Some(formula) = launch.kernel.mathematics.formula else { return Ok(()) };
    let wanted = (formula.values)(&launch.case.params, &launch.contents);
    assert_eq!(wanted.len(), formula.of.len(), "{launch}: a value for each output");
    let tolerance = f64::from(launch.kernel.tolerance);
    for (output, want) in formula.of.iter().zip(&wanted).filter(|(output, _)| launch.given(output).is_some()) {
        let (what, got) = (format!("{launch} `{output}`"), results.get(output));
        match records.contains(output) {
            false => within(&what, got, want, tolerance * largest(want).max(SMALL))?,
            true => {
                assert_eq!(got.len(), want.len(), "{what}: lengths differ");
                for (place, (got, want)) in got.chunks(1).zip(want.chunks(1)).enumerate() {
                    close(&format!("{what}[{place}]"), got, want, tolerance)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether the launch has a gradient that was checked.
fn check_gradient(launch: &Launch, results: &Contents) -> Result<bool, String> {
    let (mathematics, params) = (launch.kernel.mathematics, &launch.case.params);
    let Some(gradient) = mathematics.gradient else { return Ok(false) };
    let mut point = launch.contents.clone();
    for (variable, output) in gradient.of {
        if launch.kernel.args.iter().all(|arg| arg.name != *variable) {
            let arg = launch.kernel.args.iter().find(|arg| arg.name == *output).expect("an output is an argument");
            point.set(variable, free(vec![0.0; (arg.len)(params)]));
        }
    }
    if (gradient.terms)(params, &point).iter().any(|term| !term.is_finite()) {
        let formula = mathematics.formula.map_or(&[][..], |formula| formula.of);
        let covered = gradient.of.iter().all(|(_, output)| formula.contains(output));
        assert!(covered, "{launch}: the sum is not finite, and an output has no formula");
        return Ok(false);
    }
    let mut checked = false;
    for &(variable, output) in gradient.of {
        let Some(arg) = launch.given(output) else { continue };
        checked = true;
        let added_to = arg.access.reads() && variable != output;
        let before = launch.contents.get(output).iter().map(|x| if added_to { *x } else { 0.0 });
        let variable = Variable { launch, gradient, point: &point, name: variable };
        variable.check(&format!("{launch} `{output}`"), results.get(output), &before.collect::<Vec<_>>())?;
    }
    Ok(checked)
}

fn free(numbers: Vec<f64>) -> Content {
    Content { numbers, words: Vec::new() }
}

/// A variable of a gradient, at a point.
struct Variable<'a> {
    launch: &'a Launch<'a>,
    gradient: Gradient,
    point: &'a Contents,
    name: &'static str,
}

impl Variable<'_> {
    /// Errors unless an output holds the gradient with respect to it, added to what was there before.
    fn check(&self, what: &str, got: &[f64], before: &[f64]) -> Result<(), String> {
        let len = self.point.get(self.name).len();
        assert_eq!(got.len(), len, "{what}: as long as its variable");
        let mut stream = Stream::new(3, Site::Init, self.launch.number as u64);
        let cost = (self.launch.kernel.flops)(&self.launch.case.params).max(len as u64) as f64;
        let most = ((BUDGET / cost) as usize).max(LEAST);
        let places: Vec<usize> = match len <= most {
            true => (0..len).collect(),
            false => (0..most).map(|_| stream.below(len as u32) as usize).collect(),
        };
        let moved: Vec<f64> = places.iter().map(|&place| got[place]).collect();
        let derivative = |place: usize| self.slope(|i| f64::from(u8::from(i == place)));
        let want: Vec<f64> = places.iter().map(|&place| before[place] + derivative(place)).collect();
        let allowed = f64::from(self.launch.kernel.tolerance) * largest(&want).max(SMALL) + NOISE;
        within(&format!("{what} by {}", self.name), &moved, &want, allowed)?;
        for _ in 0..DIRECTIONS {
            let direction: Vec<f64> = (0..len).map(|_| f64::from(stream.below(2)) * 2.0 - 1.0).collect();
            let added = got.iter().zip(before).zip(&direction).map(|((got, before), u)| (got - before) * u);
            let (got_slope, want) = (added.sum::<f64>(), self.slope(|i| direction[i]));
            let what = format!("{what} by {} along a direction", self.name);
            within(&what, &[got_slope], &[want], allowed * (len as f64).sqrt())?;
        }
        Ok(())
    }

    /// How the sum changes along a direction of the variable.
    fn slope(&self, direction: impl Fn(usize) -> f64) -> f64 {
        let at = self.point.get(self.name);
        slope(|h| {
            let mut point = self.point.clone();
            point.set(self.name, free(at.iter().enumerate().map(|(i, x)| x + h * direction(i)).collect()));
            (self.gradient.terms)(&self.launch.case.params, &point)
        })
    }
}
