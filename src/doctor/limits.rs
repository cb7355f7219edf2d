//! What a device can hold.

use crate::device::Device;
use crate::exec::gpu::Gpu;
use crate::exec::host_memory::available;
use serde::Serialize;

/// Limits in bytes; `None` if there is no limit, or none is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The largest binding; no tensor can be larger.
    pub binding: Option<u64>,
    /// The largest buffer that the adapter can make.
    pub buffer: Option<u64>,
    /// Shared memory of a workgroup.
    pub workgroup: Option<u64>,
    /// Free memory. WebGPU does not tell how much a GPU has.
    pub memory: Option<u64>,
}

/// The width of BERT base.
const WIDTH: u64 = 768;

impl Limits {
    pub fn of(device: &Device) -> Limits {
        match device {
            Device::Cpu => Limits { binding: None, buffer: None, workgroup: None, memory: available() },
            Device::Gpu(gpu) => Self::of_gpu(gpu),
        }
    }

    fn of_gpu(gpu: &Gpu) -> Limits {
        let limits = gpu.limits();
        Limits {
            binding: Some(gpu.binding()),
            buffer: Some(limits.max_buffer_size),
            workgroup: Some(u64::from(limits.max_compute_workgroup_storage_size)),
            memory: gpu.memory(),
        }
    }
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
        match self.memory {
            Some(memory) => write!(f, "free memory {}", mebibytes(memory))?,
            None => write!(f, "free memory not known")?,
        }
        if let (Some(binding), Some(buffer), Some(workgroup)) = (self.binding, self.buffer, self.workgroup) {
            write!(
                f,
                "; a tensor is at most {} (at width {WIDTH} a vocabulary of {}), a buffer {}, a workgroup's memory {} KiB",
                mebibytes(binding),
                binding / (4 * WIDTH),
                mebibytes(buffer),
                workgroup >> 10
            )?;
        }
        Ok(())
    }
}
