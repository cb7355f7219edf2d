//! Compares a whole model with PyTorch: logits, loss, every gradient and ten optimiser steps, as transformers computed them.

mod case;

pub use case::Golden;

pub use super::report::Check;
use crate::Result;
use crate::data::Batch;
use crate::device::Device;
use crate::exec::Executor;
use crate::kernels::step::StepState;
use crate::model::{Inference, Kind, Microbatch, Shape};
use crate::optim::{AdamW, Optimizer};
use crate::tasks::MaskedLm;
use crate::train::{Training, TrainingOptions};
use bytemuck::Zeroable;

/// The optimiser that `make_golden.py` uses.
pub const OPTIMIZER: AdamW = AdamW { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weight_decay: 0.01 };
const LEARNING_RATE: f64 = 1e-3;

/// Largest relative error, in the L2 norm, of a parameter's gradient or of its values after the steps.
const PARAMETER_BOUND: f64 = 1e-4;

impl Golden {
    /// Compares everything that a device computes.
    ///
    /// # Errors
    /// The device fails.
    pub fn check(&self, device: &Device) -> Result<Vec<Check>> {
        Ok([self.check_forward(device)?, self.check_gradients(device)?, self.check_steps(device, &OPTIMIZER)?].concat())
    }

    fn check_forward(&self, device: &Device) -> Result<[Check; 2]> {
        let prediction = MaskedLm::new(&self.config).prediction(self.words_shape, device.binding())?;
        let logits = self.run_forward(device, &prediction, &self.words)?;
        let want = &self.answers.logits;
        let logits = self.within("logits", largest_difference(&logits[..want.len()], want), 1e-4);

        let labels = vec![0; self.real_rows.len()];
        let all = Batch { selected: self.real_rows.clone(), labels, ..self.words.clone() };
        let shape = Shape { selected: self.real_rows.len(), ..self.words_shape };
        let encoding = Inference::encoding(&self.config, shape, device.binding())?;
        let hidden = self.run_forward(device, &encoding, &all)?;
        let width = self.config.hidden_size;
        let row = |&row: &u32| &self.answers.hidden[row as usize * width..][..width];
        let want: Vec<f32> = self.real_rows.iter().flat_map(row).copied().collect();
        Ok([logits, self.within("hidden", largest_difference(&hidden, &want), 1e-4)])
    }

    fn run_forward(&self, device: &Device, inference: &Inference, batch: &Batch) -> Result<Vec<f32>> {
        let mut executor = inference.start(device, &self.config, &self.values)?;
        inference.inputs.write(&mut *executor, batch, Microbatch::default())?;
        executor.run(inference.phase)?;
        inference.read(&mut *executor)
    }

    fn check_gradients(&self, device: &Device) -> Result<[Check; 2]> {
        // This program has one microbatch, where gradients may share memory with activations; the one for the steps
        // accumulates.
        let (training, mut executor) = self.training(device, &OPTIMIZER, false)?;
        let loss = self.accumulate(&training, &mut *executor)?;
        let loss = self.within("loss", self.loss_error(loss, self.answers.loss), 2e-6);
        let gradients = training.parameters.read(&mut *executor, Kind::Gradient)?;
        Ok([loss, self.within_all("gradients", &training, &gradients, &self.answers.gradients)])
    }

    /// Compares ten steps of an optimiser, which must be the one that the case's steps were made with.
    ///
    /// # Errors
    /// The device fails.
    pub fn check_steps(&self, device: &Device, optimizer: &dyn Optimizer) -> Result<[Check; 2]> {
        let (training, mut executor) = self.training(device, optimizer, true)?;
        let mut errors = Vec::new();
        for &want in &self.answers.losses {
            errors.push(self.loss_error(self.accumulate(&training, &mut *executor)?, want));
            training.run_update(&mut *executor, LEARNING_RATE)?;
        }
        let losses = self.within("ten losses", largest(errors.into_iter()), 1e-4);
        let values = training.parameters.read(&mut *executor, Kind::Value)?;
        Ok([losses, self.within_all("parameters after ten steps", &training, &values, &self.answers.stepped)])
    }

    fn training(
        &self,
        device: &Device,
        optimizer: &dyn Optimizer,
        accumulates: bool,
    ) -> Result<(Training, Box<dyn Executor>)> {
        let options = TrainingOptions { accumulates, ..TrainingOptions::new(self.shape, device.binding()) };
        let training = Training::new(&*self.task(), optimizer, options)?;
        let mut executor = training.start(device, &self.config)?;
        training.parameters.write(&mut *executor, Kind::Value, &self.values);
        Ok((training, executor))
    }

    /// Runs forward and backward over the batch. Returns the mean loss, or NaN if not every label was counted.
    fn accumulate(&self, training: &Training, executor: &mut dyn Executor) -> Result<f64> {
        training.clear_metrics(executor);
        let weight = |count: u32| 1.0 / count.max(1) as f32;
        let step = StepState { loss_weight: weight(self.batch.label_count), ..StepState::zeroed() };
        let class_weight = weight(self.batch.classes.count);
        training.inputs.write(executor, &self.batch, Microbatch { step, class_weight, ..Default::default() })?;
        executor.run(training.accumulate)?;
        let measured = training.measured(executor)?;
        let expected = [self.batch.label_count, self.batch.classes.count];
        let counted = measured.losses.iter().zip(expected).all(|(sums, labels)| sums.labels == f64::from(labels));
        Ok(if counted { measured.loss() } else { f64::NAN })
    }

    fn loss_error(&self, loss: f64, want: f32) -> f64 {
        ((loss - f64::from(want)) / f64::from(want)).abs()
    }

    /// Checks the parameter with the largest relative error. If its reference is almost zero, the absolute error counts.
    fn within_all(&self, what: &str, training: &Training, got: &[Vec<f32>], want: &[Vec<f32>]) -> Check {
        let errors = got.iter().zip(want).map(|(got, want)| {
            let norm = l2(want.iter().map(|&x| f64::from(x)));
            let error = l2(got.iter().zip(want).map(|(&got, &want)| f64::from(got) - f64::from(want)));
            if norm < 1e-6 { 100.0 * error } else { error / norm }
        });
        let errors: Vec<f64> = errors.collect();
        let mut check = self.within(what, largest(errors.iter().copied()), PARAMETER_BOUND);
        let off = |error: &f64| error.is_nan() || *error > PARAMETER_BOUND;
        let named = training.parameters.list.iter().zip(&errors).filter(|(_, error)| off(error));
        check.problems.extend(named.map(|(parameter, error)| format!("`{}` is off by {error:.2e}", parameter.name)));
        check
    }

    fn within(&self, what: &str, error: f64, allowed: f64) -> Check {
        Check::within(format!("{}: {what}", self.name), error, allowed)
    }
}

/// The largest difference; NaN if either side has a NaN.
fn largest_difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    largest(got.iter().zip(want).map(|(got, want)| f64::from((got - want).abs())))
}

/// The largest error; NaN if there is a NaN.
fn largest(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, |most, error| if error > most || error.is_nan() { error } else { most })
}

fn l2(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}
