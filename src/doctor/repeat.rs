//! Checks that the same training gives the same bits twice. A resume, and every comparison of two runs, relies on this.

use super::golden::Golden;
use super::report::Check;
use crate::Result;
use crate::device::Device;
use crate::model::{Kind, ModelConfig};
use crate::optim::AdamW;
use crate::tasks::MaskedLm;
use crate::train::{Training, TrainingOptions};

const STEPS: u64 = 4;

/// Trains the golden model twice from one seed, with dropout, and compares every parameter's bits.
///
/// # Errors
/// The device fails.
pub fn check(golden: &Golden, device: &Device) -> Result<Check> {
    let (first, second) = (train(golden, device)?, train(golden, device)?);
    let differing = first.iter().zip(&second).filter(|(first, second)| first != second).count();
    Ok(Check::within(format!("parameters that differ when {STEPS} steps are repeated"), differing as f64, 0.0))
}

/// The bits of every parameter after a few steps.
fn train(golden: &Golden, device: &Device) -> Result<Vec<Vec<u32>>> {
    let config = ModelConfig { dropout: 0.1, attention_dropout: 0.1, ..golden.config.clone() };
    let options = TrainingOptions::new(golden.shape, device.binding());
    let training = Training::new(&MaskedLm::new(&config), &AdamW::default(), options)?;
    let mut executor = training.start(device, &config)?;
    training.parameters.initialize(&mut *executor, 1);
    for step in 0..STEPS {
        training.step(&mut *executor, std::slice::from_ref(&golden.batch), 1e-3, 1, step)?;
    }
    let values = training.parameters.read(&mut *executor, Kind::Value)?;
    Ok(values.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect())
}
