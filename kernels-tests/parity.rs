//! Every kernel, variant and case on every adapter, with bounds checks and without, against the CPU twin.

use crate::adapter::gpus;
use crate::harness::{GUARD, Numbers, Output, Trial, record};
use cloze::exec::gpu::{Gpu, GpuExecutor, Options};
use cloze::exec::{CpuExecutor, Executor, Program};
use cloze::kernels::{Elem, KERNELS, Kernel, Variant};

#[test]
fn every_kernel_agrees_with_its_twin() {
    let chosen = std::env::var("CLOZE_KERNEL").ok();
    let kernels: Vec<_> = KERNELS.iter().filter(|k| chosen.as_ref().is_none_or(|name| name == k.name)).collect();
    assert!(!kernels.is_empty(), "CLOZE_KERNEL names no kernel: {chosen:?}");
    for gpu in gpus("parity") {
        let failures: Vec<String> = kernels.iter().filter_map(|kernel| check(gpu, kernel).err()).collect();
        assert!(failures.is_empty(), "{}\n{}", gpu.describe(), failures.join("\n"));
    }
}

/// All that is wrong with a kernel on an adapter, a line each.
pub fn check(gpu: &Gpu, kernel: &'static Kernel) -> Result<(), String> {
    let (program, trials) = record(kernel);
    let wanted = twin_outputs(&program, &trials)?;
    let mut problems = Vec::new();
    for (place, variant) in kernel.variants.iter().enumerate() {
        for checked in [false, true] {
            let choose = Some(CHOICES[place]);
            let options = Options { checked, variant: choose, bound_past_end: GUARD };
            let executor = GpuExecutor::new(gpu, &program, options);
            let mut executor = executor.map_err(|error| format!("{} {}: {error}", kernel.name, variant.name))?;
            for (trial, wanted) in trials.iter().zip(&wanted) {
                let found = trial.run(&mut executor).and_then(|got| compare(trial, &got, wanted));
                let checks = if checked { "checked" } else { "unchecked" };
                problems.extend(found.err().map(|problem| format!("{problem} ({} {checks})", variant.name)));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// By number, because a choice is a plain function.
const CHOICES: [fn(&'static Kernel) -> &'static Variant; 4] = [nth::<0>, nth::<1>, nth::<2>, nth::<3>];

fn nth<const N: usize>(kernel: &'static Kernel) -> &'static Variant {
    &kernel.variants[N]
}

fn twin_outputs(program: &Program, trials: &[Trial]) -> Result<Vec<Vec<Output>>, String> {
    let mut executor = CpuExecutor::new(program).map_err(|error| error.to_string())?;
    trials.iter().map(|trial| trial.run(&mut executor as &mut dyn Executor)).collect()
}

/// The worst element of the first argument that differs too much.
fn compare(trial: &Trial, got: &[Output], wanted: &[Output]) -> Result<(), String> {
    for (got, want) in got.iter().zip(wanted) {
        let allowed = match (want.arg.elem, trial.numbers) {
            (Elem::u32, _) | (_, Numbers::Integers) => 0.0,
            (Elem::f32, Numbers::Real) => allowed_error(trial.kernel, &want.words),
        };
        let difference = |i: &usize| match want.arg.elem {
            Elem::u32 => f32::from(u8::from(got.words[*i] != want.words[*i])),
            Elem::f32 => difference(f32::from_bits(got.words[*i]), f32::from_bits(want.words[*i])),
        };
        let worst = (0..want.words.len()).max_by(|a, b| difference(a).total_cmp(&difference(b)));
        if let Some(i) = worst.filter(|i| difference(i) > allowed) {
            let show = |word| match want.arg.elem {
                Elem::u32 => format!("{word}"),
                Elem::f32 => format!("{:e}", f32::from_bits(word)),
            };
            let count = (0..want.words.len()).filter(|i| difference(i) > allowed).count();
            return Err(format!(
                "{trial}: {count} of {} elements of `{}` are off; at {i} got {}, want {} within {allowed:e}",
                want.words.len(),
                want.arg.name,
                show(got.words[i]),
                show(want.words[i])
            ));
        }
    }
    Ok(())
}

/// Relative to the largest finite magnitude of the output; the absolute part is for outputs that are zero but for
/// rounding, since inputs are about one.
fn allowed_error(kernel: &Kernel, want: &[u32]) -> f32 {
    let magnitudes = want.iter().map(|&word| f32::from_bits(word).abs()).filter(|x| x.is_finite());
    kernel.tolerance * magnitudes.fold(0.0, f32::max) + 1e-9
}

/// Infinite where one is finite and the other is not, or not the same infinity.
fn difference(got: f32, want: f32) -> f32 {
    match (got.is_finite(), want.is_finite()) {
        (true, true) => (got - want).abs(),
        _ if got == want || (got.is_nan() && want.is_nan()) => 0.0,
        _ => f32::INFINITY,
    }
}
