//! The program of a model that only runs forward.

use super::architecture::declare;
use super::config::ModelConfig;
use super::encoder::Encoder;
use super::inputs::{Contents, Inputs, Shape};
use super::parameters::{Declaration, Kind, Parameters};
use super::recorder::Recorder;
use super::row_set::RowSet;
use crate::Result;
use crate::device::Device;
use crate::exec::{Executor, Phase, Program, Role, Tensor};
use crate::kernels::rows::{GatherRowsArgs, Rows};

/// A model that only runs forward.
pub struct Inference {
    pub program: Program,
    pub parameters: Parameters,
    pub inputs: Inputs,
    /// The result of the phase.
    pub output: Tensor,
    pub phase: Phase,
    /// Columns of the output: those in use, and all of them with padding.
    columns: (usize, usize),
}

impl Inference {
    /// The encoder alone: `output` holds its result in the rows that the batch selects, [K, H].
    ///
    /// # Errors
    /// As [`Inference::new`].
    pub fn encoding(config: &ModelConfig, shape: Shape, binding: u64) -> Result<Self> {
        let (rows, selected, width) = (shape.rows() as u32, shape.selected as u32, config.hidden_size as u32);
        let output = Output { name: "hidden", rows: shape.selected, columns: (config.hidden_size, config.hidden_size) };
        let forward = Forward { shape, rows: RowSet::All, classes: false, binding };
        Self::new(config, Vec::new(), forward, output, |r, _, inputs, x, hidden| {
            let args = GatherRowsArgs { x, selected: inputs.selected, y: hidden };
            r.program.launch(Rows { rows, selected, width }, args);
        })
    }

    /// The encoder's forward pass, then `finish` over the rows `rows` of its result. `head` declares the parameters of a
    /// head.
    ///
    /// # Errors
    /// A tensor is too large for any device.
    pub fn new(
        config: &ModelConfig,
        head: Vec<Declaration>,
        Forward { shape, rows, classes, binding }: Forward,
        Output { name, rows: output_rows, columns }: Output,
        finish: impl FnOnce(&mut Recorder, &Parameters, &Inputs, Tensor, Tensor),
    ) -> Result<Self> {
        let mut program = Program::new();
        let parameters = Parameters::new(&mut program, [declare(config), head].concat(), None, binding);
        let inputs = Inputs::new(&mut program, config, shape, Contents { orders: false, classes }, "batch");
        let output = program.tensor(Role::Output, name, &[output_rows, columns.1]);
        let phase = program.phase("forward");
        let mut r = Recorder::new(program, &inputs);
        let (x, _) = Encoder::new(config, &parameters, shape, rows).forward(&mut r, &inputs);
        finish(&mut r, &parameters, &inputs, x, output);
        Ok(Inference { program: r.program.finish()?, parameters, inputs, output, phase, columns })
    }

    /// Gives the program its memory on a device, and writes the constant inputs and the parameters. `values` are in the order
    /// of declaration, a head's after the encoder's.
    ///
    /// # Errors
    /// The device is too small.
    pub fn start(&self, device: &Device, config: &ModelConfig, values: &[Vec<f32>]) -> Result<Box<dyn Executor>> {
        let mut executor = device.executor(&self.program)?;
        self.inputs.prepare(&mut *executor, config);
        self.parameters.write(&mut *executor, Kind::Value, &values[..self.parameters.list.len()]);
        Ok(executor)
    }

    /// The output as the last run left it, without padding.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(&self, executor: &mut dyn Executor) -> Result<Vec<f32>> {
        let words = executor.read(self.output)?;
        let (count, columns) = self.columns;
        let rows = bytemuck::cast_slice::<u32, f32>(&words).chunks(columns);
        Ok(rows.flat_map(|row| &row[..count]).copied().collect())
    }
}

/// A forward pass of the encoder.
pub struct Forward {
    pub shape: Shape,
    /// Which rows of its result there are.
    pub rows: RowSet,
    /// Whether its batches have classes of whole sequences.
    pub classes: bool,
    /// The device's largest binding in bytes.
    pub binding: u64,
}

/// The output tensor of an inference, [rows, columns]: the number of columns in use, and that of all with padding.
pub struct Output {
    pub name: &'static str,
    pub rows: usize,
    pub columns: (usize, usize),
}
