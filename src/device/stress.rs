//! Checks variants on cooperative matrices at sizes where a missing barrier shows: with small inputs, wrong reordering by a
//! driver goes unnoticed.

use super::launches::Launches;
use crate::exec::gpu::Gpu;
use crate::exec::halves;
use crate::kernels::{Arg, Class, Elem, Kernel, Precision, Sizes, Variant};

/// Products of 1024³, and attention over 512 positions.
const SIZES: Sizes = Sizes {
    name: "stress",
    batch: 2,
    sequence: 512,
    width: 1024,
    heads: 16,
    inner: 1024,
    vocabulary: 1024,
    masked: 128,
};
/// The indices of the two runs: the variant under test, and one without matrices.
const QUESTIONED: usize = 0;
const PLAIN: usize = 1;
/// The allowed error against a variant without matrices, relative to the largest magnitude. Matrix units add up less exactly
/// than f32, and a missing barrier leaves a much larger error.
const ALLOWED: f32 = 4e-3;

/// Runs a variant repeatedly: it must give the same bits each time, within bounds of one without matrices.
///
/// # Errors
/// The variant is wrong; the error says how.
pub fn check(gpu: &Gpu, kernel: &'static Kernel, variant: &Variant, precision: Precision) -> Result<(), String> {
    let case = (kernel.bench)(&SIZES);
    let plain = kernel
        .designed(&case.params, gpu.class())
        .find(|plain| plain.matrices.is_none() && gpu.trusts(kernel, plain, precision) && (plain.fits)(&case.params));
    let plain = plain.unwrap_or(kernel.reference());
    // A software adapter runs on the CPU, loses no barrier and is slow.
    let times = if gpu.class() == Class::Software { 2 } else { 10 };
    let failed = |error: crate::Error| error.to_string();
    let mut launches = Launches::of_variants(gpu, &[variant, plain], kernel, precision, &case).map_err(failed)?;
    let wanted = launches.outputs_of(PLAIN).map_err(failed)?;
    let first = launches.outputs_of(QUESTIONED).map_err(failed)?;
    for ((arg, got), (_, want)) in first.iter().zip(&wanted) {
        compare(arg, got, want, precision).map_err(|problem| format!("{} {}: {problem}", kernel.name, variant.name))?;
    }
    for time in 1..times {
        let again = launches.outputs_of(QUESTIONED).map_err(failed)?;
        if again.iter().zip(&first).any(|((_, again), (_, first))| again != first) {
            return Err(format!("{} {}: run {time} of the same launch gives other bits", kernel.name, variant.name));
        }
    }
    Ok(())
}

fn compare(arg: &Arg, got: &[u32], want: &[u32], precision: Precision) -> Result<(), String> {
    let width = arg.elem.bytes(precision);
    let numbers = |words: &[u32]| -> Vec<f32> {
        let words = halves::loaded(words, words.len() * 4 / width, width);
        words.into_iter().map(f32::from_bits).collect()
    };
    if arg.elem == Elem::u32 {
        return if got == want { Ok(()) } else { Err(format!("`{}` differs", arg.name)) };
    }
    let (got, want) = (numbers(got), numbers(want));
    let largest = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    // NaN is off too.
    let close = |(got, want): &(&f32, &f32)| (*got - *want).abs() <= ALLOWED * largest;
    let off = want.len() - got.iter().zip(&want).filter(close).count();
    match off {
        0 => Ok(()),
        off => Err(format!("{off} of {} elements of `{}` are off", want.len(), arg.name)),
    }
}
