//! Which of two devices trains faster: an integrated GPU may be slower than the CPU beside it.

use super::Device;
use super::launches::Launches;
use crate::Result;
use crate::kernels::{KERNELS, Precision, Sizes};
use std::time::Duration;

/// What is timed if a program's sizes are not known: two short sequences of BERT base.
pub const USUAL: Sizes = Sizes {
    name: "comparison",
    batch: 2,
    sequence: 128,
    width: 768,
    heads: 12,
    inner: 3072,
    vocabulary: 30522,
    masked: 38,
};
/// The kernels in which a layer spends its time.
const TIMED: [&str; 7] =
    ["matmul_nt", "matmul_nn", "matmul_tn", "qkv", "attention", "attention_backward", "layer_norm"];
const SAMPLES: usize = 3;
/// Enough tokens to tell the devices apart; a layer takes milliseconds for them on either device.
const MOST_ROWS: u32 = 1024;

/// How long a layer's kernels take on a device in f32: the sum of their medians.
///
/// # Errors
/// The device fails.
pub fn seconds(device: &Device, sizes: &Sizes) -> Result<f64> {
    let timed = KERNELS.iter().filter(|kernel| TIMED.contains(&kernel.name));
    let median = |kernel: &&'static crate::kernels::Kernel| {
        let runs = [((kernel.bench)(sizes), 1)];
        Ok(Launches::new(device, None, kernel, Precision::F32, &runs)?.median(SAMPLES)?.0)
    };
    timed.map(median).sum::<Result<Duration>>().map(|sum| sum.as_secs_f64())
}

/// The faster of a GPU and the CPU at a program's sizes. It logs the times of both.
pub fn faster(gpu: Device, sizes: &Sizes) -> Device {
    let sizes = Sizes { batch: (MOST_ROWS / sizes.sequence).clamp(1, sizes.batch), ..*sizes };
    let measured = seconds(&gpu, &sizes).and_then(|gpu| Ok((gpu, seconds(&Device::Cpu, &sizes)?)));
    let Ok((on_gpu, on_cpu)) = measured else { return gpu };
    let (taken, other) = if on_gpu <= on_cpu { (gpu, Device::Cpu) } else { (Device::Cpu, gpu) };
    let (fast, slow) = (1e3 * on_gpu.min(on_cpu), 1e3 * on_gpu.max(on_cpu));
    log::info!(
        "the faster device is {}: a layer's kernels, {} × {} tokens of {} wide, took {fast:.1} ms there, and {slow:.1} ms on {}",
        taken.describe_briefly(),
        sizes.batch,
        sizes.sequence,
        sizes.width,
        other.describe_briefly()
    );
    taken
}
