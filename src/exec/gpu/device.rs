//! Finding and opening an adapter.

use super::fault::Fault;
use super::memory;
use super::pipeline_cache::PipelineCache;
use super::pipelines::Compiled;
use super::problems::{Problems, without_panic};
use super::sabotage::Sabotage;
use super::speed_estimate;
use super::variants::Variants;
use super::watchdog::Watchdog;
use crate::exec::plan::MemoryLimits;
use crate::kernels::{Class, Precision};
use crate::{Error, Remedy, Result};
use std::sync::Arc;
use std::time::Duration;

/// Every adapter that can run Cloze, in wgpu's order. Their place in this list is the number that a user asks for.
///
/// # Errors
/// WGPU_BACKEND names a backend that Cloze does not support.
pub fn adapters() -> Result<Vec<wgpu::Adapter>> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends(std::env::var_os("WGPU_BACKEND"))?;
    // With this, creating a buffer that would make the system swap video memory fails instead.
    descriptor.memory_budget_thresholds.for_resource_creation = Some(95);
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    Ok(adapters.into_iter().filter(runs_compute).collect())
}

/// The backends in WGPU_BACKEND, read as other programs with wgpu read it; else all.
fn backends(asked: Option<std::ffi::OsString>) -> Result<wgpu::Backends> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12);
    };
    let asked = asked.to_string_lossy().to_lowercase();
    let backend = |name: &str| match name.trim() {
        "vulkan" | "vk" => Ok(wgpu::Backends::VULKAN),
        "metal" | "mtl" => Ok(wgpu::Backends::METAL),
        "dx12" | "d3d12" => Ok(wgpu::Backends::DX12),
        other => Err(Error::device(format!("WGPU_BACKEND: `{other}` is none of vulkan, metal and dx12; unset it"))),
    };
    asked.split(',').map(backend).try_fold(wgpu::Backends::empty(), |all, one| Ok(all | one?))
}

fn runs_compute(adapter: &wgpu::Adapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        && adapter.limits().max_storage_buffers_per_shader_stage >= crate::kernels::kernel::MAX_BINDINGS as u32
}

/// Whether an adapter is a software adapter, a program that imitates a GPU, such as llvmpipe.
pub fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Optional features that are used if an adapter has them.
const WANTED: wgpu::Features = wgpu::Features::SHADER_F16
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    .union(wgpu::Features::PASSTHROUGH_SHADERS);

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Gpu {
    pub(super) adapter: wgpu::Adapter,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) problems: Problems,
    pub info: wgpu::AdapterInfo,
    pub(super) variants: Variants,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) fault: Option<Fault>,
    pub(super) watchdog: Arc<Watchdog>,
    /// How long a submission should take.
    pub(super) submission: Duration,
    /// A launch with more FLOP than this is cut into several; the limit of the class of device if it is not set.
    pub(super) most_flops: Option<u64>,
    /// The cache of pipelines on the disk.
    pub(super) pipelines: Option<Arc<PipelineCache>>,
    /// Pipelines that were compiled since the device was opened.
    pub(super) compiled: Compiled,
}

impl Gpu {
    /// Opens an adapter with all its limits, and trusts its kernels. Use `device::vetting` to open one with checked kernels.
    ///
    /// # Errors
    /// The driver refuses, or an environment variable for tests has an invalid value.
    pub fn open(adapter: &wgpu::Adapter) -> Result<Gpu> {
        let info = adapter.get_info();
        let (sabotage, fault) = (Sabotage::from_environment()?, Fault::from_environment()?);
        let features = adapter.features() & WANTED;
        let experimental = match features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            // SAFETY: the one experimental feature in use is cooperative matrices, in shaders that are part of this binary and
            // whose answers are checked on this device before they count.
            true => unsafe { wgpu::ExperimentalFeatures::enabled() },
            false => wgpu::ExperimentalFeatures::disabled(),
        };
        let wanted = wgpu::DeviceDescriptor {
            label: Some("cloze"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: experimental,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let refusal = |error: &str| format!("cannot open {} ({}): {error}", info.name, info.backend);
        // wgpu panics if the driver fails at the very first calls.
        let opened = without_panic(|| pollster::block_on(adapter.request_device(&wanted)));
        let opened = opened.map_err(|panic| Error::DeviceLost(refusal(&panic)))?;
        let (device, queue) = opened.map_err(|error| {
            let problem = refusal(&error.to_string());
            if problem.contains("lost") { Error::DeviceLost(problem) } else { Error::device(problem) }
        })?;
        let problems = Problems::default();
        problems.listen(&device);
        Ok(Gpu {
            adapter: adapter.clone(),
            device,
            queue,
            problems,
            variants: Variants::new()?,
            sabotage,
            fault,
            watchdog: Arc::new(Watchdog::new(info.name.clone())),
            info,
            submission: speed_estimate::USUAL,
            most_flops: None,
            pipelines: None,
            compiled: Compiled::default(),
        })
    }

    /// Opens the same adapter as a new device, which shares nothing with this one, whatever happened to it.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn reopen(&self) -> Result<Gpu> {
        let (variants, submission, most_flops) = (self.variants.clone(), self.submission, self.most_flops);
        let mut gpu = Gpu { variants, submission, most_flops, ..Gpu::open(&self.adapter)? };
        gpu.give_up_after(self.watchdog.limit());
        if self.pipelines.is_some() {
            gpu.keep_pipelines();
        }
        Ok(gpu)
    }

    /// Makes later executors cut their work into submissions that should take this long each.
    pub fn submit_every(&mut self, target: Duration) {
        self.submission = target;
    }

    /// Ends the process if a call of the driver takes longer than this; the default is five minutes.
    pub fn give_up_after(&self, limit: Duration) {
        self.watchdog.limit_to(limit);
    }

    /// Submits commands to the queue.
    pub(super) fn submit(&self, commands: impl IntoIterator<Item = wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        let _call = self.watchdog.call();
        self.fault.iter().for_each(|fault| fault.strike(&self.device));
        self.queue.submit(commands)
    }

    /// Makes later executors cut launches that have more FLOP than this.
    pub fn cut_above(&mut self, flops: u64) {
        self.most_flops = Some(flops);
    }

    /// From now on keeps pipelines in the user's cache directory, and uses those already there.
    pub fn keep_pipelines(&mut self) {
        self.pipelines = PipelineCache::open(&self.device, &self.info).map(Arc::new);
    }

    /// Errors when the device can't store numbers in a precision.
    pub fn check_precision(&self, precision: Precision) -> Result<()> {
        if self.device.features().contains(precision.needs()) {
            return Ok(());
        }
        let problem = format!("{} has no half precision in shaders (SHADER_F16)", self.describe());
        Err(Error::device(problem).with(Remedy::FullPrecision))
    }

    /// Errors when the device was lost.
    pub fn still_there(&self) -> Result<()> {
        self.problems.loss()
    }

    /// Whether a variant is broken on purpose. Then nothing found out about this device may be kept.
    pub fn sabotaged(&self) -> bool {
        self.sabotage.is_some()
    }

    /// What the device can hold and run.
    pub fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// Bytes of free memory, if known. A software adapter has the machine's memory, and an integrated GPU shares it.
    pub fn memory(&self) -> Option<u64> {
        let machine = crate::exec::host_memory::available();
        match self.class() {
            Class::Software => machine,
            Class::Integrated => memory::free(&self.adapter).map(|own| own.min(machine.unwrap_or(own))),
            Class::Discrete => memory::free(&self.adapter),
        }
    }

    /// The limits that a program has to fit.
    pub fn plan_limits(&self) -> MemoryLimits {
        let alignment = u64::from(self.device.limits().min_storage_buffer_offset_alignment);
        MemoryLimits { binding: self.binding(), alignment, memory: self.memory(), arena: false }
    }

    /// The optional WebGPU features that the device was opened with, on one line.
    pub fn features(&self) -> String {
        let features = self.device.features();
        if features.is_empty() { "none".into() } else { features.to_string() }
    }

    /// Bytes of the largest possible binding.
    pub fn binding(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Name, backend and driver on one line.
    pub fn describe(&self) -> String {
        describe(&self.info)
    }
}

/// Name, backend and driver of an adapter on one line.
pub fn describe(info: &wgpu::AdapterInfo) -> String {
    format!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_asked_for_by_name() {
        let asked = |text: &str| backends(Some(text.into()));
        assert_eq!(asked("Vulkan, dx12").unwrap(), wgpu::Backends::VULKAN | wgpu::Backends::DX12);
        assert_eq!(asked("").unwrap(), backends(None).unwrap());
        let message = asked("vulkan,gl").unwrap_err().to_string();
        assert!(message.contains("`gl` is none of vulkan"), "{message}");
    }
}
