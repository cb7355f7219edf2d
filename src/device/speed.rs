//! How fast a device moves memory and computes, measured by the probes.

use super::Device;
use super::launches::Launches;
use super::probes::{COPY, MULTIPLY_ADD, copy_case, multiply_add_case};
use crate::Result;
use crate::exec::Speed;
use crate::kernels::{Case, Precision};

/// The most elements that are copied: more than any cache holds.
const COPIED: u32 = 1 << 25;
/// Chains of multiply-adds: enough for every unit of a large GPU.
const CHAINS: u32 = 1 << 21;

const SAMPLES: usize = 5;

/// # Errors
/// The device fails, or has no room for the buffers.
pub fn measure(device: &Device) -> Result<Speed> {
    Ok(Speed { bytes_per_second: bytes_per_second(device)?, flops_per_second: flops_per_second(device)? })
}

/// Bytes per second of a copy, counting reads and writes.
///
/// # Errors
/// As [`measure`].
pub fn bytes_per_second(device: &Device) -> Result<f64> {
    let copy = copy_case(u64::from(COPIED).min(device.binding() / 4) as u32 & !3);
    let moved = COPY.bytes(&copy.params, copy.present(), Precision::F32);
    let launches =
        Launches::new(device, None, &COPY, Precision::F32, &[1, 16, 256].map(|count| (copy.clone(), count)))?;
    rate(launches, |_| moved)
}

/// FLOP per second of f32 multiply-adds, each counted as two.
///
/// # Errors
/// As [`measure`].
pub fn flops_per_second(device: &Device) -> Result<f64> {
    let runs = [128, 4096, 1 << 16, 1 << 20].map(|rounds| (multiply_add_case([CHAINS, rounds]), 1));
    rate(Launches::new(device, None, &MULTIPLY_ADD, Precision::F32, &runs)?, |case| (MULTIPLY_ADD.flops)(&case.params))
}

/// The median of a launch's `work` divided by its time.
fn rate(mut launches: Launches, work: impl Fn(&Case) -> u64) -> Result<f64> {
    let (time, case) = launches.median(SAMPLES)?;
    Ok(work(case) as f64 / time.as_secs_f64())
}
