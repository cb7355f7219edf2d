//! Numbers stored as f16, two to a word: the `real` tensors of an f16 program.
//!
//! The CPU twins compute in f32. For a launch in f16 their inputs are widened into scratch memory, and their outputs are
//! rounded (to nearest, ties to even) when they are done. That is slow, but it defines the exact result of such a launch.

use crate::kernels::kernel::MAX_ARGS;
use crate::kernels::{Elem, Kernel, Precision, View, Views};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Elements per conversion task.
const GRAIN: usize = 16 * 1024;

/// Rounds numbers into words. If their count is odd, the last word's upper half stays as it is.
pub fn narrow(numbers: &[f32], words: &mut [u32]) {
    let halves: &mut [f16] = bytemuck::cast_slice_mut(words);
    let blocks = halves[..numbers.len()].par_chunks_mut(GRAIN).zip(numbers.par_chunks(GRAIN));
    blocks.for_each(|(halves, numbers)| halves.convert_from_f32_slice(numbers));
}

/// The first `numbers.len()` numbers in words.
pub fn widen(words: &[u32], numbers: &mut [f32]) {
    let halves: &[f16] = bytemuck::cast_slice(words);
    let blocks = halves[..numbers.len()].par_chunks(GRAIN).zip(numbers.par_chunks_mut(GRAIN));
    blocks.for_each(|(halves, numbers)| halves.convert_to_f32_slice(numbers));
}

/// Packs elements, one per word, as a tensor with elements of `width` bytes stores them.
pub fn stored(words: Vec<u32>, width: usize) -> Vec<u32> {
    if width == 4 {
        return words;
    }
    let mut halves = vec![0; words.len().div_ceil(2)];
    narrow(bytemuck::cast_slice(&words), &mut halves);
    halves
}

/// Unpacks `len` elements from `stored`.
pub fn loaded(words: &[u32], len: usize, width: usize) -> Vec<u32> {
    if width == 4 {
        return words.to_vec();
    }
    let mut numbers = vec![0.0; len];
    widen(words, &mut numbers);
    bytemuck::cast_slice(&numbers).to_vec()
}

/// Memory for a launch's `real` arguments as its twin sees them, by their place in the declaration.
#[derive(Default)]
pub(super) struct Scratch {
    arguments: [Vec<f32>; MAX_ARGS],
}

impl Scratch {
    /// The most words that each argument needs, for launches (kernel, parameters) in f16.
    pub fn lens<'a>(launches: impl Iterator<Item = (&'static Kernel, &'a [u32])>) -> [usize; MAX_ARGS] {
        let mut lens = [0; MAX_ARGS];
        for (kernel, params) in launches {
            for (len, arg) in lens.iter_mut().zip(kernel.args).filter(|(_, arg)| arg.elem == Elem::real) {
                *len = (*len).max((arg.len)(params));
            }
        }
        lens
    }

    pub fn new(lens: [usize; MAX_ARGS]) -> Scratch {
        Scratch { arguments: lens.map(|len| vec![0.0; len]) }
    }

    pub fn bytes(&self) -> u64 {
        self.arguments.iter().map(|numbers| 4 * numbers.len() as u64).sum()
    }

    /// Runs a twin whose `real` arguments are stored as f16.
    pub fn run(&mut self, kernel: &Kernel, params: &[u32], mut views: [View; MAX_ARGS]) {
        let mut stored: [View; MAX_ARGS] = Default::default();
        let mut seen: [View; MAX_ARGS] = Default::default();
        let arguments = self.arguments.iter_mut().zip(&mut stored).zip(seen.iter_mut().zip(&mut views));
        for (((numbers, stored), (seen, view)), arg) in arguments.zip(kernel.args) {
            let view = std::mem::take(view);
            if arg.elem != Elem::real || matches!(view, View::Absent) {
                *seen = view;
                continue;
            }
            let numbers = &mut numbers[..(arg.len)(params)];
            if arg.access.reads() {
                widen(view.words(), numbers);
            }
            let words = bytemuck::cast_slice_mut(numbers);
            *seen = if arg.access.reads_only() { View::Read(words) } else { View::Write(words) };
            *stored = view;
        }
        (kernel.twin)(params, Views(seen));
        for ((numbers, stored), arg) in self.arguments.iter().zip(stored).zip(kernel.args) {
            if let View::Write(words) = stored {
                narrow(&numbers[..(arg.len)(params)], words);
            }
        }
    }
}

/// Whether a launch has arguments that its precision stores as f16.
pub(super) fn stores_halves(kernel: &Kernel, precision: Precision) -> bool {
    precision == Precision::F16 && kernel.stores_reals()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_even() {
        let numbers = [1.0, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 65519.0, 65520.0, -1e9, 1e-8, f32::NAN, 0.1];
        let mut words = [u32::MAX; 5];
        narrow(&numbers, &mut words);
        assert_eq!(words[4] >> 16, 0xffff, "what lies behind the last number stays");
        let mut back = [0.0; 9];
        widen(&words, &mut back);
        assert_eq!(back[..7], [1.0, 1.0, 1.0 + 2.0 / 1024.0, 65504.0, f32::INFINITY, f32::NEG_INFINITY, 0.0]);
        assert!(back[7].is_nan() && (back[8] - 0.1).abs() < 0.1 / 2048.0);
    }
}
