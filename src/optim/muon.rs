//! Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024), as `torch.optim.Muon` computes it.
//! It updates the hidden matrices; AdamW updates everything else: embeddings, heads, biases, norms.
//!
//! Muon's update is the momentum of a matrix's gradient, with all its singular values brought near one by five steps of a
//! Newton–Schulz iteration. Queries, keys and values count as separate matrices, and so do the halves of a gated layer.

use super::{AdamW, Optimizer};
use crate::exec::{Program, Tensor};
use crate::kernels::Precision;
use crate::kernels::gradient_norm::{PARTIALS, SumSquares, SumSquaresArgs};
use crate::kernels::matmul::{MatmulNnArgs, MatmulNtArgs, Product};
use crate::kernels::muon::{
    MuonMomentum, MuonMomentumArgs, MuonNorm, MuonNormArgs, MuonPolynomial, MuonPolynomialArgs, MuonUpdate,
    MuonUpdateArgs,
};
use crate::model::Parameters;
use crate::model::parameters::{Declaration, ParameterKind, ParameterTensors};
use crate::model::recorder::Recorder;

/// Steps of the Newton–Schulz iteration.
const STEPS: usize = 5;
/// x ← a·x + b·(x·xᵀ)·x + c·(x·xᵀ)²·x: the slope at zero is as large as it can be.
const COEFFICIENTS: [f32; 3] = [3.4445, -4.775, 2.0315];

/// The settings of Muon that stay the same for a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// Muon's learning rate divided by AdamW's. It is the same in every step.
    pub rate: f64,
    /// Decay of the momentum.
    pub momentum: f64,
    /// Weight decay, multiplied by Muon's learning rate.
    pub weight_decay: f64,
    /// Updates everything else.
    pub adamw: AdamW,
}

/// The groups: the hidden matrices, then those of AdamW.
const MATRICES: usize = 0;
const ADAMW: usize = 1;

impl Optimizer for Muon {
    fn slots(&self) -> Vec<&'static [&'static str]> {
        let matrices: &[&str] = &["momentum"];
        [vec![matrices], self.adamw.slots()].concat()
    }

    fn group(&self, parameter: &Declaration) -> usize {
        match parameter.kind {
            ParameterKind::Matrix { .. } => MATRICES,
            _ => ADAMW + self.adamw.group(parameter),
        }
    }

    fn decays(&self) -> [f64; 2] {
        self.adamw.decays()
    }

    fn record_update(&self, r: &mut Recorder, parameters: &Parameters, state: Tensor, update: Tensor) {
        for (number, parameter) in parameters.list.iter().enumerate() {
            if let ParameterKind::Matrix { stacked } = parameter.kind {
                let of = parameters.tensors(&mut r.program, number);
                self.record_stack(r, Stack::new(stacked, &parameter.shape), of, state, update);
            }
        }
        for flat in parameters.flats.iter().filter(|flat| flat.group >= ADAMW) {
            self.adamw.record_flat(r, flat, flat.group - ADAMW, state, update);
        }
    }
}

impl Muon {
    /// Records the update of one parameter's matrices.
    fn record_stack(
        &self,
        r: &mut Recorder,
        Stack { stacked, rows, columns, stride }: Stack,
        of: ParameterTensors,
        optimizer: Tensor,
        update: Tensor,
    ) {
        // Gradients are f32 in every program. What is computed from them is f32 too, until the copy of the parameters is
        // written.
        let precision = r.program.record_in(Precision::F32);
        let [x, directions] = ["momentum", "directions"].map(|name| r.statistics(name, stacked * stride));
        let shape = MuonMomentum {
            stacked: stacked as u32,
            rows: rows as u32,
            columns: columns as u32,
            stride: stride as u32,
            momentum: self.momentum as f32,
            rest: (1.0 - self.momentum) as f32,
        };
        r.program.launch(shape, MuonMomentumArgs { optimizer, gradients: of.gradients, momenta: of.state[0], x });
        for matrix in 0..stacked {
            let [x, y] =
                [x, directions].map(|whole| r.program.part(whole, matrix * stride, rows * columns, "optimizer.matrix"));
            orthogonalize(r, [rows.min(columns), rows.max(columns)], x, y);
        }
        r.program.record_in(precision);
        let shape = MuonUpdate {
            stacked: stacked as u32,
            rows: rows as u32,
            columns: columns as u32,
            stride: stride as u32,
            rate: self.rate as f32,
            adjustment: (rows as f64 / columns as f64).max(1.0).sqrt() as f32,
            weight_decay: self.weight_decay as f32,
        };
        let args = MuonUpdateArgs { update, optimizer, x: directions, parameters: of.values, copy: of.copy };
        r.program.launch(shape, args);
    }
}

/// A parameter as a stack of matrices [rows, columns].
#[derive(Clone, Copy)]
struct Stack {
    stacked: usize,
    rows: usize,
    columns: usize,
    /// Elements from one matrix to the next, aligned so that each can be a tensor of its own.
    stride: usize,
}

impl Stack {
    fn new(stacked: usize, shape: &[usize]) -> Self {
        let (rows, columns) = (shape[0] / stacked, shape[1]);
        Stack { stacked, rows, columns, stride: (rows * columns).next_multiple_of(Program::PART_ALIGNMENT / 4) }
    }
}

/// x [short, long] → y [short, long] with singular values near one. x is scaled on the way.
fn orthogonalize(r: &mut Recorder, [short, long]: [usize; 2], mut x: Tensor, y: Tensor) {
    let partials = r.statistics("partials", PARTIALS);
    let count = (short * long) as u32;
    r.program.launch(SumSquares { count }, SumSquaresArgs { x, partials });
    r.program.launch(MuonNorm { count }, MuonNormArgs { partials, x });
    let ([size, depth], [a, b, c]) = ([short as u32, long as u32], COEFFICIENTS);
    for step in 1..=STEPS {
        let [gram, square, polynomial] = ["gram", "square", "polynomial"].map(|name| r.statistics(name, short * short));
        let args = MatmulNtArgs { a: x, b: x, bias: None, residual: None, pre: None, step: None, c: gram };
        r.program.launch(Product { m: size, n: size, k: depth }.into(), args);
        let args = MatmulNnArgs { a: gram, b: gram, residual: None, pre: None, c: square };
        r.program.launch(Product { m: size, n: size, k: size }, args);
        let args = MuonPolynomialArgs { m: gram, square, y: polynomial };
        r.program.launch(MuonPolynomial { size, a, b, c }, args);
        let next = if step == STEPS { y } else { r.statistics("iterate", short * long) };
        let args = MatmulNnArgs { a: polynomial, b: x, residual: None, pre: None, c: next };
        r.program.launch(Product { m: size, n: depth, k: size }, args);
        x = next;
    }
}
