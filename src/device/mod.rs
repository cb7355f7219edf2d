//! What a program runs on: the choice of a device, the checks before it is trusted, and how fast it is.

pub mod choice;
pub mod comparison;
pub mod launches;
pub mod parity;
pub mod probes;
pub mod record;
pub mod speed;
mod stress;
pub mod trial;
pub mod tuning;
pub mod vetting;

pub use choice::DeviceChoice;

use crate::exec::gpu::{self, Gpu, GpuExecutor, Origin};
use crate::exec::plan::MemoryLimits;
use crate::exec::{CpuExecutor, Executor, Program};
use crate::kernels::{Class, Precision, Sizes, find_variant};
use crate::{Error, Remedy, Result};
use std::collections::BTreeMap;
use std::time::Duration;
use tuning::Budget;

/// An opened device.
pub enum Device {
    Cpu,
    Gpu(Box<Gpu>),
}

impl Device {
    /// Opens the device that was asked for. A GPU is opened only after its kernels were checked, now or in an earlier process.
    ///
    /// # Errors
    /// There is no such adapter, it can't be opened, or it computes wrong results.
    pub fn open(choice: &DeviceChoice) -> Result<Device> {
        Self::open_for(choice, &comparison::USUAL)
    }

    /// Like [`Device::open`], for a program of these sizes, at which an integrated GPU is compared with the CPU.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_for(choice: &DeviceChoice, sizes: &Sizes) -> Result<Device> {
        Self::open_by(choice, sizes, vetting::open)
    }

    /// Like [`Device::open`], but without checking its kernels.
    ///
    /// # Errors
    /// There is no such adapter, or it can't be opened.
    pub fn open_unvetted(choice: &DeviceChoice) -> Result<Device> {
        Self::open_by(choice, &comparison::USUAL, Gpu::open)
    }

    /// Makes sure that the device can store numbers in this precision, and checks a GPU's kernels in that form.
    ///
    /// # Errors
    /// A GPU lacks the precision, or computes wrong results in it.
    pub fn ready_for(self, precision: Precision) -> Result<Device> {
        match self {
            Device::Gpu(gpu) if precision != Precision::F32 => {
                Ok(Device::Gpu(Box::new(vetting::vet(*gpu, precision)?)))
            }
            Device::Cpu if precision != Precision::F32 => {
                log::warn!("on a CPU half precision only imitates what a GPU does: f32 is faster");
                Ok(Device::Cpu)
            }
            device => Ok(device),
        }
    }

    /// The device, with a GPU's work cut into submissions that should take this long each. Other programs that share the GPU,
    /// such as a desktop, get their turn in between.
    pub fn submitting_every(self, target: Duration) -> Device {
        match self {
            Device::Cpu => Device::Cpu,
            Device::Gpu(mut gpu) => {
                gpu.submit_every(target);
                Device::Gpu(gpu)
            }
        }
    }

    /// The device; the process ends if a call of a GPU's driver takes longer than this.
    pub fn giving_up_after(self, limit: Duration) -> Device {
        if let Device::Gpu(gpu) = &self {
            gpu.give_up_after(limit);
        }
        self
    }

    fn open_by(choice: &DeviceChoice, sizes: &Sizes, open: fn(&wgpu::Adapter) -> Result<Gpu>) -> Result<Device> {
        match choice {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Auto => Ok(match Self::best_gpu(gpu::adapters()?, open) {
                Some(Device::Gpu(gpu)) if gpu.class() == Class::Integrated => {
                    comparison::faster(Device::Gpu(gpu), sizes)
                }
                found => found.unwrap_or(Device::Cpu),
            }),
            DeviceChoice::Gpu => {
                let adapters = ranked(gpu::adapters()?);
                let best = adapters.first().ok_or_else(|| {
                    let problem = "there is no GPU that wgpu reaches; install its Vulkan driver (on Debian without a GPU: \
                                   `apt-get install mesa-vulkan-drivers libvulkan1`)";
                    Error::device(problem).with(Remedy::Cpu)
                })?;
                open(best).map(|gpu| Device::Gpu(Box::new(gpu)))
            }
            DeviceChoice::Index(index) => {
                let adapters = gpu::adapters()?;
                let adapter = adapters.get(*index).ok_or_else(|| {
                    let problem = format!("there is no GPU {index} among the {} there are", adapters.len());
                    Error::device(problem).with(Remedy::KnownDevice)
                })?;
                open(adapter).map(|gpu| Device::Gpu(Box::new(gpu)))
            }
            DeviceChoice::Named(name) => {
                let adapters = gpu::adapters()?;
                open(named(name, &adapters)?).map(|gpu| Device::Gpu(Box::new(gpu)))
            }
        }
    }

    /// The first real GPU that opens.
    fn best_gpu(adapters: Vec<wgpu::Adapter>, open: fn(&wgpu::Adapter) -> Result<Gpu>) -> Option<Device> {
        let real = ranked(adapters).into_iter().filter(|adapter| !gpu::is_software(&adapter.get_info()));
        real.into_iter().find_map(|adapter| match open(&adapter) {
            Ok(gpu) => Some(Device::Gpu(Box::new(gpu))),
            Err(error) => {
                log::warn!("{error}; trying the next device");
                None
            }
        })
    }

    /// Bytes of the largest possible binding.
    pub fn binding(&self) -> u64 {
        match self {
            Device::Cpu => u64::MAX,
            Device::Gpu(gpu) => gpu.binding(),
        }
    }

    /// The limits that a program has to fit.
    pub fn limits(&self) -> MemoryLimits {
        match self {
            Device::Cpu => CpuExecutor::limits(),
            Device::Gpu(gpu) => gpu.plan_limits(),
        }
    }

    /// Bytes that a program takes on the device besides its plan.
    pub fn scratch(&self, program: &Program) -> u64 {
        match self {
            Device::Cpu => CpuExecutor::scratch(program),
            Device::Gpu(_) => 0,
        }
    }

    /// Allocates a program's memory on the device.
    ///
    /// # Errors
    /// The program needs more than the device has; the message names the tensor or the total, and the limit.
    pub fn executor(&self, program: &Program) -> Result<Box<dyn Executor>> {
        Ok(match self {
            Device::Cpu => Box::new(CpuExecutor::new(program)?),
            Device::Gpu(gpu) => {
                tuning::tune(gpu, program, Budget::from_environment(gpu.class())?);
                Box::new(GpuExecutor::new(gpu, program, Default::default())?)
            }
        })
    }

    /// The variants of a program's launches by the names of their shapes (`Kernel::shape`). They must stay the same for a
    /// resumed run to give the same bits. Empty on the CPU.
    pub fn variants_of(&self, program: &Program) -> BTreeMap<String, String> {
        match self {
            Device::Cpu => BTreeMap::new(),
            Device::Gpu(gpu) => gpu.variants_of(program),
        }
    }

    /// Makes all later executors run the variants that a run began with, as `variants_of` returned them. A warning names those
    /// that the device lacks or gets wrong; others replace them.
    pub fn go_on_with(&self, recorded: &BTreeMap<String, String>) {
        let Device::Gpu(gpu) = self else { return };
        let mut missing: BTreeMap<String, usize> = BTreeMap::new();
        for (shape, name) in recorded {
            let kernel = shape.split(' ').next().unwrap_or(shape);
            let precision = if shape.ends_with(" f16") { Precision::F16 } else { Precision::F32 };
            match find_variant(&format!("{kernel}/{name}")) {
                Some((kernel, variant)) if gpu.trusts(kernel, variant, precision) => {
                    gpu.settle(shape.clone(), variant, Origin::Recorded);
                }
                _ => *missing.entry(format!("{kernel} {name}")).or_default() += 1,
            }
        }
        for (name, count) in missing {
            log::warn!(
                "the run began with the kernel variant `{name}` for {count} shapes, which {} does not have or gets wrong; \
                 another stands in, and from here on the run's numbers differ in their last bits",
                gpu.describe()
            );
        }
    }

    /// Where the kernels' variants come from, on one line; `None` on the CPU, or if there was nothing to choose.
    pub fn origins(&self) -> Option<String> {
        let Device::Gpu(gpu) = self else { return None };
        let parts: Vec<String> = gpu
            .origins()
            .into_iter()
            .map(|(origin, count)| match origin {
                Origin::Measured => format!("{count} shapes run the variant that was measured to be the fastest"),
                Origin::Recorded => format!("{count} shapes run the one that the run began with"),
                Origin::Design => format!("{count} shapes run by design, to be measured at the next start"),
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The device by name.
    pub fn describe_briefly(&self) -> String {
        match self {
            Device::Cpu => format!("cpu ({} threads)", rayon::current_num_threads()),
            Device::Gpu(gpu) => gpu.describe(),
        }
    }

    /// The device on one line: name, driver, features in use, kernel variants.
    pub fn describe(&self) -> String {
        match self {
            Device::Cpu => {
                format!("cpu ({} threads, {})", rayon::current_num_threads(), crate::kernels::cpu::simd::isa())
            }
            Device::Gpu(gpu) => {
                let variants = gpu.variants_in_use();
                let variants: Vec<String> = variants.iter().map(|(kernel, name)| format!("{kernel} {name}")).collect();
                format!("{}; features: {}; variants: {}", gpu.describe(), gpu.features(), variants.join(", "))
            }
        }
    }
}

/// The one adapter whose line from [`gpu::describe`] contains a text, ignoring case.
fn named<'a>(name: &str, adapters: &'a [wgpu::Adapter]) -> Result<&'a wgpu::Adapter> {
    let line = |adapter: &wgpu::Adapter| gpu::describe(&adapter.get_info());
    let matches = |adapter: &&wgpu::Adapter| line(adapter).to_lowercase().contains(&name.to_lowercase());
    let found: Vec<_> = adapters.iter().filter(matches).collect();
    match found[..] {
        [adapter] => Ok(adapter),
        [] => {
            let known = adapters.iter().map(line).collect::<Vec<_>>().join("; ");
            let known = if known.is_empty() { "there is none".into() } else { format!("there is {known}") };
            Err(Error::device(format!("no GPU has `{name}` in its name: {known}")).with(Remedy::KnownDevice))
        }
        [..] => {
            let several = found.into_iter().map(line).collect::<Vec<_>>().join("; ");
            Err(Error::device(format!("several GPUs have `{name}` in their names, give more of one: {several}")))
        }
    }
}

/// Adapters, the best for training first.
fn ranked(mut adapters: Vec<wgpu::Adapter>) -> Vec<wgpu::Adapter> {
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}
