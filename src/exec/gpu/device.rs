//! Finding and opening an adapter.

use super::forced::Forced;
use super::pipeline_cache::PipelineCache;
use super::pipelines::Compiled;
use super::sabotage::Sabotage;
use crate::exec::plan::Limits;
use crate::kernels::kernel::Matrices;
use crate::kernels::{KERNELS, Kernel, Precision, Variant};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Every adapter that can run Cloze, in wgpu's order: the numbers of `--device <index>`.
pub fn adapters() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // Creating a buffer that would push the system into swapping video memory fails instead.
    descriptor.memory_budget_thresholds.for_resource_creation = Some(95);
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.into_iter().filter(runs_compute).collect()
}

fn runs_compute(adapter: &wgpu::Adapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        && adapter.limits().max_storage_buffers_per_shader_stage >= crate::kernels::kernel::MAX_ARGS as u32
}

/// Whether an adapter is a program that imitates a GPU, such as llvmpipe.
pub fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Optional features that are used where an adapter has them.
const WANTED: wgpu::Features = wgpu::Features::SHADER_F16
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);

/// The first error that the device reported outside of a call.
#[derive(Clone, Default)]
pub(super) struct Problems(Arc<Mutex<Option<Problem>>>);

struct Problem {
    message: String,
    /// Whether nothing will go well on the device any more.
    lost: bool,
}

impl Problems {
    fn report(&self, message: String, lost: bool) {
        let mut first = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if lost || first.is_none() {
            *first = Some(Problem { message, lost });
        }
    }

    /// Errors with what was reported since the last look. A device that was lost stays so.
    pub fn check(&self) -> Result<()> {
        let mut first = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let Some(problem) = &*first else { return Ok(()) };
        let error = Error::Device(problem.message.clone());
        if !problem.lost {
            *first = None;
        }
        Err(error)
    }
}

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Gpu {
    adapter: wgpu::Adapter,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) problems: Problems,
    pub info: wgpu::AdapterInfo,
    /// Names of kernels and of their variants that are not to be used here in a precision, since they give wrong answers.
    passed_over: Vec<(&'static str, &'static str, Precision)>,
    /// The variants that CLOZE_VARIANTS asks for.
    forced: Forced,
    /// The fastest variants of launches, by `Kernel::shape`; `None` where nothing is measured.
    chosen: Option<Arc<Mutex<BTreeMap<String, &'static Variant>>>>,
    pub(super) sabotage: Option<Sabotage>,
    /// Pipelines that are kept on the disk.
    pub(super) pipelines: Option<Arc<PipelineCache>>,
    /// Pipelines that were compiled since it was opened.
    pub(super) compiled: Compiled,
}

impl Gpu {
    /// Opens an adapter with all its limits, and trusts it: `doctor::vetting` opens one whose kernels were checked.
    ///
    /// # Errors
    /// The driver refuses, or CLOZE_TEST_BREAK names no variant of a kernel.
    pub fn open(adapter: &wgpu::Adapter) -> Result<Gpu> {
        let info = adapter.get_info();
        let sabotage = Sabotage::from_environment()?;
        let features = adapter.features() & WANTED;
        let experimental = match features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            // SAFETY: the one experimental feature in use is cooperative matrices, in shaders that are part of this binary and
            // whose answers are checked on this device before they count.
            true => unsafe { wgpu::ExperimentalFeatures::enabled() },
            false => wgpu::ExperimentalFeatures::disabled(),
        };
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("cloze"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: experimental,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|error| Error::Device(format!("cannot open {} ({}): {error}", info.name, info.backend)))?;
        let problems = Problems::default();
        let (uncaptured, lost) = (problems.clone(), problems.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let message = match error {
                wgpu::Error::OutOfMemory { .. } => {
                    "the device is out of memory; lower `train.micro_batch` or `data.sequence_length`".into()
                }
                other => format!("the device reported: {other}"),
            };
            uncaptured.report(message, false);
        }));
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.report(format!("the device was lost: {message}; training goes on with --resume"), true);
            }
        });
        Ok(Gpu {
            adapter: adapter.clone(),
            device,
            queue,
            problems,
            info,
            passed_over: Vec::new(),
            forced: Forced::from_environment()?,
            chosen: None,
            sabotage,
            pipelines: None,
            compiled: Compiled::default(),
        })
    }

    /// The same adapter as a new device: whatever happened to this one is left behind.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn reopen(&self) -> Result<Gpu> {
        let mut gpu =
            Gpu { passed_over: self.passed_over.clone(), chosen: self.chosen.clone(), ..Gpu::open(&self.adapter)? };
        if self.pipelines.is_some() {
            gpu.keep_pipelines();
        }
        Ok(gpu)
    }

    /// Has pipelines kept in the user's cache directory from now on, and takes what is there.
    pub fn keep_pipelines(&mut self) {
        self.pipelines = PipelineCache::open(&self.device, &self.info).map(Arc::new);
    }

    /// Lets the variants of launches be measured.
    pub fn choose_by_speed(&mut self) {
        self.chosen = Some(Arc::default()).filter(|_| !self.forced.everything());
    }

    /// From now on a variant of a kernel is not used in launches of this precision.
    pub fn pass_over(&mut self, kernel: &Kernel, variant: &Variant, precision: Precision) {
        self.passed_over.push((kernel.name, variant.name, precision));
    }

    /// The variant of a kernel that suits this device where nothing is known of the launch, or the reference where that was
    /// passed over.
    pub fn variant(&self, kernel: &'static Kernel, precision: Precision) -> &'static Variant {
        let suited = || {
            let software = is_software(&self.info);
            let mut matrices = kernel.variants.iter().filter(|variant| variant.matrices.is_some() && !software);
            let matrices = matrices.find(|variant| self.trusts(kernel, variant, precision));
            matrices.unwrap_or_else(|| suited(kernel, software))
        };
        let wanted = self.forced.of(kernel).unwrap_or_else(suited);
        if self.trusts(kernel, wanted, precision) { wanted } else { kernel.reference() }
    }

    /// The variant that runs a launch: the fastest that is known, else the one that suits the device, else the reference.
    pub fn variant_for(
        &self,
        kernel: &'static Kernel,
        params: &[u32],
        present: u32,
        precision: Precision,
    ) -> &'static Variant {
        let suited = Some(self.variant(kernel, precision));
        let chosen = || self.chosen(&kernel.shape(params, present, precision));
        let wanted = self.forced.of(kernel).or_else(chosen).or(suited);
        let wanted = wanted.filter(|variant| self.trusts(kernel, variant, precision) && (variant.fits)(params));
        wanted.unwrap_or(kernel.reference())
    }

    /// Whether a variant may run launches of a precision here: it computes them, its features are there, and it was not found
    /// to be wrong.
    pub fn trusts(&self, kernel: &Kernel, variant: &Variant, precision: Precision) -> bool {
        let wrong = self.passed_over.contains(&(kernel.name, variant.name, precision));
        variant.computes_in(precision) && self.offers(variant) && !wrong
    }

    /// The trusted variants that fit a launch, where it is to be measured which of them is the fastest.
    pub fn candidates(&self, kernel: &'static Kernel, params: &[u32], precision: Precision) -> Vec<&'static Variant> {
        let measured = self.chosen.is_some() && self.forced.of(kernel).is_none();
        let fitting = kernel.variants.iter();
        let fitting = fitting.filter(|variant| self.trusts(kernel, variant, precision) && (variant.fits)(params));
        if measured { fitting.collect() } else { Vec::new() }
    }

    fn chosen(&self, shape: &str) -> Option<&'static Variant> {
        self.chosen.as_ref()?.lock().unwrap_or_else(|e| e.into_inner()).get(shape).copied()
    }

    /// From now on a variant runs the launches of this shape.
    pub fn choose(&self, shape: String, variant: &'static Variant) {
        if let Some(chosen) = &self.chosen {
            chosen.lock().unwrap_or_else(|e| e.into_inner()).insert(shape, variant);
        }
    }

    /// The variants in use, for kernels that have more than one.
    pub fn variants(&self) -> Vec<(&'static str, String)> {
        let several = KERNELS.iter().filter(|kernel| kernel.variants.len() > 1);
        several.map(|kernel| (kernel.name, self.variants_of(kernel).join("/"))).collect()
    }

    fn variants_of(&self, kernel: &'static Kernel) -> Vec<&'static str> {
        let chosen = self.chosen.as_ref().map(|chosen| chosen.lock().unwrap_or_else(|e| e.into_inner()));
        let of = |shape: &str| shape.split(' ').next() == Some(kernel.name);
        let chosen = chosen.iter().flat_map(|chosen| chosen.iter()).filter(|(shape, _)| of(shape));
        let mut names: Vec<&str> = chosen.map(|(_, variant)| variant.name).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { vec![self.variant(kernel, Precision::F32).name] } else { names }
    }

    /// Whether the device was opened with every feature that a variant needs, has the workgroup memory that it takes, multiplies
    /// cooperative matrices of its size, and has no wider subgroups than it allows.
    pub fn offers(&self, variant: &Variant) -> bool {
        self.device.features().contains(variant.needs)
            && variant.workgroup_memory <= self.device.limits().max_compute_workgroup_storage_size
            && variant.matrices.is_none_or(|matrices| self.has_matrices(matrices))
            && variant.lanes.is_none_or(|most| self.lanes() <= most)
    }

    /// The most lanes that a subgroup has. Metal doesn't say, but of its GPUs those with matrices have 32.
    fn lanes(&self) -> u32 {
        if self.info.backend == wgpu::Backend::Metal { 32 } else { self.info.subgroup_max_size }
    }

    fn has_matrices(&self, Matrices { side, of }: Matrices) -> bool {
        let element = match of {
            Precision::F32 => wgpu::CooperativeScalarType::F32,
            Precision::F16 => wgpu::CooperativeScalarType::F16,
        };
        self.adapter.cooperative_matrix_properties().iter().any(|matrix| {
            (matrix.m_size, matrix.n_size, matrix.k_size) == (side, side, side)
                && matrix.ab_type == element
                && matrix.cr_type == wgpu::CooperativeScalarType::F32
        })
    }

    /// Errors when the device can't store numbers in a precision.
    pub fn check_precision(&self, precision: Precision) -> Result<()> {
        if self.device.features().contains(precision.needs()) {
            return Ok(());
        }
        Err(Error::Device(format!(
            "train.precision = \"f16\" needs shaders with half precision, which {} does not have; set it to \"f32\"",
            self.describe()
        )))
    }

    /// Whether a variant is broken on purpose, so that nothing found out about this device may be kept.
    pub fn sabotaged(&self) -> bool {
        self.sabotage.is_some()
    }

    /// What the device can hold and run.
    pub fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// Bytes of free memory, where that is known: a software adapter has the machine's.
    pub fn memory(&self) -> Option<u64> {
        crate::exec::host_memory::available().filter(|_| is_software(&self.info))
    }

    /// What a program has to fit.
    pub fn plan_limits(&self) -> Limits {
        let alignment = u64::from(self.device.limits().min_storage_buffer_offset_alignment);
        Limits { binding: self.binding(), alignment, memory: self.memory(), arena: false }
    }

    /// The optional features of WebGPU that the device was opened with, on a line.
    pub fn features(&self) -> String {
        let features = self.device.features();
        if features.is_empty() { "none".into() } else { features.to_string() }
    }

    /// Bytes of the largest binding.
    pub fn binding(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Name, backend and driver on a line.
    pub fn describe(&self) -> String {
        describe(&self.info)
    }
}

/// The variant of a kernel that suits an adapter: those on a CPU do better without workgroup barriers.
fn suited(kernel: &'static Kernel, software: bool) -> &'static Variant {
    let direct = kernel.variants.iter().find(|variant| variant.name == "direct");
    direct.filter(|_| software).unwrap_or(kernel.reference())
}

/// Name, backend and driver of an adapter on a line.
pub fn describe(info: &wgpu::AdapterInfo) -> String {
    format!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info)
}
