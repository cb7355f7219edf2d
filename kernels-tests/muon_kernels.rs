//! Twins of Muon's passes against their formulas in f64, over matrices that are wide and tall.

use crate::check::checks;
use crate::twin::{call, close, numbers};
use cloze::kernels::gradient_norm::{OptimizerState, PARTIALS};
use cloze::kernels::muon::{
    MUON_MOMENTUM, MUON_NORM, MUON_POLYNOMIAL, MUON_UPDATE, MuonMomentum, MuonNorm, MuonPolynomial, MuonUpdate,
};
use cloze::kernels::step::UpdateState;
use cloze::kernels::{Kernel, Params};

checks! {
    MUON_MOMENTUM => momentum,
    MUON_NORM => norm,
    MUON_POLYNOMIAL => polynomial,
    MUON_UPDATE => update,
}

const ROUNDING: f64 = 1e-6;
/// (rows, columns): two matrices of each are stacked, with 64 elements from one to the next.
const SHAPES: [[usize; 2]; 3] = [[5, 9], [9, 5], [8, 8]];
const STRIDE: usize = 64;

fn state(coefficient: f32) -> Vec<u32> {
    OptimizerState { coefficient, ..bytemuck::Zeroable::zeroed() }.words().to_vec()
}

/// The place in `x` of an element of the stacked matrices.
fn place([rows, columns]: [usize; 2], element: usize) -> usize {
    let (matrix, row, column) = (element / (rows * columns), element / columns % rows, element % columns);
    matrix * STRIDE + if rows > columns { column * rows + row } else { row * columns + column }
}

fn momentum(kernel: &Kernel) -> Result<(), String> {
    for shape @ [rows, columns] in SHAPES {
        let p = MuonMomentum {
            stacked: 2,
            rows: rows as u32,
            columns: columns as u32,
            stride: STRIDE as u32,
            momentum: 0.95,
            rest: 0.05,
        };
        let count = 2 * rows * columns;
        let (gradients, momenta) = (numbers(1, count, -1.0, 1.0), numbers(2, count, -1.0, 1.0));
        let twin = call(kernel, &p).with_words("optimizer", state(0.5));
        let results = twin.with("gradients", &gradients).with("momenta", &momenta).run();
        let averaged: Vec<f64> = gradients.iter().zip(&momenta).map(|(g, m)| 0.95 * m + 0.05 * 0.5 * g).collect();
        let mut want = vec![0.0; 2 * STRIDE];
        for (element, (g, m)) in gradients.iter().zip(&averaged).enumerate() {
            want[place(shape, element)] = 0.05 * 0.5 * g + 0.95 * m;
        }
        close("muon x", &results.numbers("x"), &want, ROUNDING)?;
        close("muon momenta", &results.numbers("momenta"), &averaged, ROUNDING)?;
        close("muon gradients", &results.numbers("gradients"), &vec![0.0; count], ROUNDING)?;
    }
    Ok(())
}

fn norm(kernel: &Kernel) -> Result<(), String> {
    let (partials, x) = (numbers(1, PARTIALS, 0.0, 1.0), numbers(2, 100, -1.0, 1.0));
    let results = call(kernel, &MuonNorm { count: 100 }).with("partials", &partials).with("x", &x).run();
    let norm = partials.iter().sum::<f64>().sqrt();
    let want: Vec<f64> = x.iter().map(|x| x / norm).collect();
    close("muon norm", &results.numbers("x"), &want, ROUNDING)
}

fn polynomial(kernel: &Kernel) -> Result<(), String> {
    let p = MuonPolynomial { size: 7, a: 3.0, b: -4.5, c: 2.0 };
    let (m, square) = (numbers(1, 49, -1.0, 1.0), numbers(2, 49, -1.0, 1.0));
    let results = call(kernel, &p).with("m", &m).with("square", &square).run();
    let unit = |i: usize| if i / 7 == i % 7 { 3.0 } else { 0.0 };
    let want: Vec<f64> = (0..49).map(|i| unit(i) - 4.5 * m[i] + 2.0 * square[i]).collect();
    close("muon polynomial", &results.numbers("y"), &want, ROUNDING)
}

fn update(kernel: &Kernel) -> Result<(), String> {
    for shape @ [rows, columns] in SHAPES {
        let p = MuonUpdate {
            stacked: 2,
            rows: rows as u32,
            columns: columns as u32,
            stride: STRIDE as u32,
            rate: 20.0,
            adjustment: 1.25,
            weight_decay: 0.125,
        };
        let (x, parameters) = (numbers(1, 2 * STRIDE, -1.0, 1.0), numbers(2, 2 * rows * columns, -1.0, 1.0));
        let words = UpdateState { learning_rate: 0.0078125 }.words().to_vec();
        let twin = call(kernel, &p).with_words("update", words).with_words("optimizer", state(0.5));
        let results = twin.with("x", &x).with("parameters", &parameters).run();
        let rate = 20.0 * 0.0078125;
        let stepped =
            |(element, value): (usize, &f64)| value * (1.0 - rate * 0.125) - rate * 1.25 * x[place(shape, element)];
        let want: Vec<f64> = parameters.iter().enumerate().map(stepped).collect();
        close("muon update", &results.numbers("parameters"), &want, ROUNDING)?;
    }
    Ok(())
}
