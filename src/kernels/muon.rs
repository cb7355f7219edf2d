//! The passes of Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) around its products: the
//! momentum, the norm before the Newton–Schulz iteration, the polynomial within it, and the update of the parameters, as
//! `torch.optim.Muon` computes them.
//!
//! A parameter holds `stacked` matrices [rows, columns], one after another. The iteration needs matrices that are at least as
//! wide as tall, so tall ones are transposed in `x`. There each matrix starts at a multiple of `stride`, at which a part of a
//! tensor may begin.

use super::case::Sizes;
use super::cpu::parallel::{GRAIN, each_row};
use super::cpu::simd::inlined;
use super::gradient_norm::{OPTIMIZER_WORDS, OptimizerState, PARTIALS};
use super::kernel::{Case, Fill, Params, Views, kernel, params};
use super::step::{UPDATE_WORDS, UpdateState};
use rayon::prelude::*;

params! {
    /// The matrices of a parameter.
    pub struct MuonMomentum {
        stacked: u32,
        rows: u32,
        columns: u32,
        /// Elements from the start of one matrix in `x` to the start of the next.
        stride: u32,
        momentum: f32,
        /// 1 − momentum, rounded once.
        rest: f32,
    }
}

params! {
    pub struct MuonUpdate {
        stacked: u32,
        rows: u32,
        columns: u32,
        stride: u32,
        /// The factor for the step's learning rate that gives these matrices' learning rate.
        rate: f32,
        /// A further factor for `x`, which depends on the matrices' shape.
        adjustment: f32,
        weight_decay: f32,
    }
}

params! {
    pub struct MuonNorm {
        count: u32,
    }
}

params! {
    pub struct MuonPolynomial {
        /// Rows and columns.
        size: u32,
        /// The coefficient of the identity matrix.
        a: f32,
        /// The coefficient of the matrix.
        b: f32,
        /// The coefficient of its square.
        c: f32,
    }
}

/// How a parameter's matrices lie in `x`: with at least as many columns as rows, and a gap after each.
#[derive(Clone, Copy)]
struct Layout {
    rows: usize,
    columns: usize,
    stride: usize,
}

impl Layout {
    fn is_transposed(self) -> bool {
        self.rows > self.columns
    }

    /// Elements of a line of `x`.
    fn width(self) -> usize {
        if self.is_transposed() { self.rows } else { self.columns }
    }

    /// Where line `number` of a matrix in `x` begins in the parameter's matrix, and how far apart its elements lie there.
    fn line(self, number: usize) -> (usize, usize) {
        if self.is_transposed() { (number, self.columns) } else { (number * self.columns, 1) }
    }

    /// Where row `number` of the parameter begins in `x`, and how far apart its elements lie there.
    fn row(self, number: usize) -> (usize, usize) {
        let (matrix, row) = (number / self.rows * self.stride, number % self.rows);
        if self.is_transposed() { (matrix + row, self.rows) } else { (matrix + row * self.columns, 1) }
    }
}

kernel! {
    /// m ← m + (1 − μ)(g − m), then x = g + μ(m − g): Nesterov's momentum. The gradients are cleared. If
    /// `optimizer.coefficient` is 0, the step is skipped: m stays, and x is zero.
    pub static MUON_MOMENTUM(MuonMomentumArgs) = "muon_momentum" (p: &MuonMomentum);
    args {
        In optimizer: f32[OPTIMIZER_WORDS],
        InOut gradients: f32[p.stacked * p.rows * p.columns],
        InOut momenta: f32[p.stacked * p.rows * p.columns],
        Out x: f32[p.stacked * p.stride],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/optimizer.wgsl", "muon_momentum.wgsl"] {
        "main": fold((p.stacked * p.stride).div_ceil(256) as usize),
    }
    flops: 6 * u64::from(p.stacked * p.rows * p.columns),
    tolerance: 1e-6,
    exact: false,
    cases: || SHAPES.map(momentum_case).into(),
    bench: |s| momentum_case(bench_shape(s)),
    twin: momentum,
    formula(optimizer, gradients, momenta) -> [gradients, momenta, x]: {
        let coefficient = OptimizerState::from_words(&optimizer.words).coefficient;
        averaged(p, coefficient.into(), gradients, momenta)
    },
}

/// The cleared gradients, the momenta and x after a step, in f64.
fn averaged(p: &MuonMomentum, coefficient: f64, gradients: &[f64], momenta: &[f64]) -> [Vec<f64>; 3] {
    let (cleared, mut x) = (vec![0.0; gradients.len()], vec![0.0; (p.stacked * p.stride) as usize]);
    if coefficient == 0.0 {
        return [cleared, momenta.to_vec(), x];
    }
    let [momentum, rest] = [p.momentum, p.rest].map(f64::from);
    let gradients: Vec<f64> = gradients.iter().map(|g| coefficient * g).collect();
    let momenta: Vec<f64> = momenta.iter().zip(&gradients).map(|(m, g)| m + rest * (g - m)).collect();
    for (element, (m, g)) in momenta.iter().zip(&gradients).enumerate() {
        x[in_x([p.rows, p.columns, p.stride], element)] = g + momentum * (m - g);
    }
    [cleared, momenta, x]
}

/// The place in `x` of an element of the stacked matrices.
fn in_x(shape: [u32; 3], element: usize) -> usize {
    let [rows, columns, stride] = shape.map(|size| size as usize);
    let (matrix, row, column) = (element / (rows * columns), element / columns % rows, element % columns);
    matrix * stride + if rows > columns { column * rows + row } else { row * columns + column }
}

fn momentum(p: &MuonMomentum, views: Views) {
    let [optimizer, gradients, momenta, x] = views.array();
    let coefficient = OptimizerState::from_words(optimizer.read()).coefficient;
    let (gradients, momenta) = (gradients.write::<f32>(), momenta.write::<f32>());
    if coefficient == 0.0 {
        gradients.fill(0.0);
        x.write::<f32>().fill(0.0);
        return;
    }
    let elements = gradients.par_chunks_mut(GRAIN).zip(momenta.par_chunks_mut(GRAIN));
    elements.for_each(|(gradients, momenta)| {
        for (gradient, m) in gradients.iter_mut().zip(momenta) {
            let g = *gradient * coefficient;
            *m += p.rest * (g - *m);
            // Until it is laid out below.
            *gradient = g + p.momentum * (*m - g);
        }
    });
    let layout = Layout { rows: p.rows as usize, columns: p.columns as usize, stride: p.stride as usize };
    let size = layout.rows * layout.columns;
    for (matrix, x) in gradients.chunks_exact(size).zip(x.write::<f32>().chunks_exact_mut(layout.stride)) {
        let (lines, gap) = x.split_at_mut(size);
        gap.fill(0.0);
        each_row(
            lines,
            layout.width(),
            inlined!(|number, line| {
                let (start, step) = layout.line(number);
                line.iter_mut().zip(matrix[start..].iter().step_by(step)).for_each(|(x, blended)| *x = *blended);
            }),
        );
    }
    gradients.fill(0.0);
}

kernel! {
    /// x ← x / max(‖x‖, 1e-7), with the norm from partial sums of squares: then no singular value is above 1.
    pub static MUON_NORM(MuonNormArgs) = "muon_norm" (p: &MuonNorm);
    args {
        In partials: f32[PARTIALS],
        InOut x: f32[p.count],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/reduce.wgsl", "muon_norm.wgsl"] {
        "main": fold(p.count.div_ceil(256) as usize),
    }
    flops: u64::from(p.count),
    tolerance: 1e-5,
    exact: false,
    cases: || [1, 255, 1028].map(norm_case).into(),
    bench: |s| norm_case(s.width * s.width),
    twin: norm,
    formula(partials, x) -> [x]: {
        let norm = f64::max(partials.iter().sum::<f64>().sqrt(), 1e-7);
        [x.iter().map(|x| x / norm).collect()]
    },
}

fn norm(_: &MuonNorm, views: Views) {
    let [partials, x] = views.array();
    let norm = partials.read::<f32>().iter().sum::<f32>().sqrt().max(1e-7);
    x.write::<f32>().par_chunks_mut(GRAIN).for_each(|x| x.iter_mut().for_each(|x| *x /= norm));
}

kernel! {
    /// y = a·I + b·m + c·m², given m and its square.
    pub static MUON_POLYNOMIAL(MuonPolynomialArgs) = "muon_polynomial" (p: &MuonPolynomial);
    args {
        In m: f32[p.size * p.size],
        In square: f32[p.size * p.size],
        Out y: f32[p.size * p.size],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "muon_polynomial.wgsl"] {
        "main": fold((p.size * p.size).div_ceil(256) as usize),
    }
    flops: 4 * u64::from(p.size) * u64::from(p.size),
    tolerance: 1e-6,
    exact: false,
    cases: || [1, 16, 37].map(polynomial_case).into(),
    bench: |s| polynomial_case(s.width),
    twin: polynomial,
    formula(m, square) -> [y]: {
        let [a, b, c] = [p.a, p.b, p.c].map(f64::from);
        let unit = |at: usize| if at.is_multiple_of(p.size as usize + 1) { a } else { 0.0 };
        [m.iter().zip(square.iter()).enumerate().map(|(at, (m, square))| unit(at) + b * m + c * square).collect()]
    },
}

fn polynomial(p: &MuonPolynomial, views: Views) {
    let [m, square, y] = views.array();
    let (m, square, size) = (m.read::<f32>(), square.read::<f32>(), p.size as usize);
    y.write::<f32>().par_chunks_mut(size).enumerate().for_each(|(row, y)| {
        let (m, square) = (&m[row * size..], &square[row * size..]);
        for ((y, m), square) in y.iter_mut().zip(m).zip(square) {
            *y = p.b * m + p.c * square;
        }
        y[row] += p.a;
    });
}

kernel! {
    /// θ ← θ(1 − η·λ) − η·α·x with decoupled weight decay λ, unless the step is skipped. `copy` gets the parameters in the form
    /// that the model's products use.
    pub static MUON_UPDATE(MuonUpdateArgs) = "muon_update" (p: &MuonUpdate);
    args {
        In update: f32[UPDATE_WORDS],
        In optimizer: f32[OPTIMIZER_WORDS],
        In x: f32[p.stacked * p.stride],
        InOut parameters: f32[p.stacked * p.rows * p.columns],
        MaybeOut copy: real[p.stacked * p.rows * p.columns],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/update.wgsl", "shared/optimizer.wgsl", "muon_update.wgsl"] {
        "main": fold((p.stacked * p.rows * p.columns).div_ceil(256) as usize),
    }
    flops: 3 * u64::from(p.stacked * p.rows * p.columns),
    tolerance: 1e-6,
    exact: false,
    cases: || SHAPES.map(|shape| update_case(shape, shape[1] == 24)).into(),
    bench: |s| update_case(bench_shape(s), false),
    twin: update,
    formula(update, optimizer, x, parameters) -> [parameters, copy]: {
        let rate = update[0] * f64::from(p.rate);
        let (keep, step) = (1.0 - rate * f64::from(p.weight_decay), rate * f64::from(p.adjustment));
        let moved = parameters.iter().enumerate().map(|(element, value)| {
            value * keep - step * x[in_x([p.rows, p.columns, p.stride], element)]
        });
        let skipped = OptimizerState::from_words(&optimizer.words).coefficient == 0.0;
        let values: Vec<f64> = if skipped { parameters.to_vec() } else { moved.collect() };
        [values.clone(), values]
    },
}

fn update(p: &MuonUpdate, views: Views) {
    let [update, optimizer, x, parameters, copy] = views.array();
    let rate = UpdateState::from_words(update.read()).learning_rate * p.rate;
    let (keep, step) = (1.0 - rate * p.weight_decay, rate * p.adjustment);
    let layout = Layout { rows: p.rows as usize, columns: p.columns as usize, stride: p.stride as usize };
    let (x, parameters) = (x.read::<f32>(), parameters.write::<f32>());
    if OptimizerState::from_words(optimizer.read()).coefficient != 0.0 {
        each_row(
            parameters,
            layout.columns,
            inlined!(|number, row| {
                let (start, apart) = layout.row(number);
                let directions = x[start..].iter().step_by(apart);
                row.iter_mut().zip(directions).for_each(|(value, x)| *value = *value * keep - step * x);
            }),
        );
    }
    let copy = copy.write::<f32>();
    if !copy.is_empty() {
        copy.copy_from_slice(parameters);
    }
}

/// (stacked, rows, columns, stride): tall, wide and square, with and without a gap.
const SHAPES: [[u32; 4]; 5] = [[1, 1, 1, 64], [3, 24, 24, 576], [2, 33, 17, 576], [2, 17, 33, 576], [1, 40, 8, 320]];

fn bench_shape(s: &Sizes) -> [u32; 4] {
    [3, s.width, s.width, s.width * s.width]
}

/// The optimiser's state with a coefficient; the step of the first of `SHAPES` is skipped.
fn state(rows: u32) -> Fill {
    let coefficient = if rows == 1 { 0.0 } else { 0.5 };
    let state = OptimizerState { coefficient, ..bytemuck::Zeroable::zeroed() };
    Fill::Words(state.words().to_vec())
}

fn momentum_case([stacked, rows, columns, stride]: [u32; 4]) -> Case {
    let p = MuonMomentum { stacked, rows, columns, stride, momentum: 0.95, rest: 0.05 };
    let any = Fill::Uniform(-1.0, 1.0);
    Case::new(p, [state(rows), any.clone(), any, Fill::Nothing])
}

fn norm_case(count: u32) -> Case {
    Case::new(MuonNorm { count }, [Fill::Uniform(0.0, 1.0), Fill::Uniform(-1.0, 1.0)])
}

fn polynomial_case(size: u32) -> Case {
    let any = Fill::Uniform(-1.0, 1.0);
    Case::new(MuonPolynomial { size, a: 3.4445, b: -4.775, c: 2.0315 }, [any.clone(), any, Fill::Nothing])
}

fn update_case([stacked, rows, columns, stride]: [u32; 4], copied: bool) -> Case {
    let p = MuonUpdate { stacked, rows, columns, stride, rate: 20.0, adjustment: 1.5, weight_decay: 0.1 };
    let update = Fill::Words(UpdateState { learning_rate: 1e-3 }.words().to_vec());
    let (any, copy) = (Fill::Uniform(-1.0, 1.0), if copied { Fill::Nothing } else { Fill::Absent });
    Case::new(p, [update, state(rows), any.clone(), any, copy])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_parameter_and_a_line_of_x_name_the_same_elements() {
        for [stacked, rows, columns, stride] in SHAPES.map(|shape| shape.map(|size| size as usize)) {
            let layout = Layout { rows, columns, stride };
            for (row, column) in (0..stacked * rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let (start, step) = layout.row(row);
                let place = start + column * step - row / rows * stride;
                let (start, step) = layout.line(place / layout.width());
                let element = start + place % layout.width() * step;
                assert_eq!(element, row % rows * columns + column, "{stacked} of {rows} by {columns}");
            }
        }
    }
}
