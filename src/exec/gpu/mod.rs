//! Runs a program on a GPU: buffers, bind groups and pipelines are made once, a phase is encoded as one compute pass.

mod device;
mod pipelines;
mod readback;
mod sabotage;

pub use device::{Gpu, adapters, describe, is_software};
pub use sabotage::Sabotage;

use super::executor::Executor;
use super::plan::{Limits, Memory, Place, Plan};
use super::program::{Launch, Phase, Program, Tensor};
use crate::kernels::{Precision, Variant};
use crate::{Error, Result};
use pipelines::Source;
use readback::Readback;
use std::collections::{HashMap, VecDeque};

/// Submissions that may wait on the device before the host waits for the oldest.
const IN_FLIGHT: usize = 3;
/// Work of one submission: far below the two seconds after which Windows resets a GPU, on any GPU worth training on.
const FLOPS_A_SUBMISSION: u64 = 20_000_000_000;

pub struct GpuExecutor {
    gpu: Gpu,
    plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    /// Name and dispatches of every phase.
    phases: Vec<(String, Vec<Dispatch>)>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    readback: Readback,
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    grid: [u32; 3],
    flops: u64,
}

/// How a program is put on a GPU.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Keep bounds checks in the shaders.
    pub checked: bool,
    /// Which variant of every kernel to run, by its place in the declaration, instead of the device's own choice. The
    /// reference stands in where the device lacks a feature that it needs, or the launch is none that it fits.
    pub variant: Option<usize>,
    /// Words behind each argument that its binding covers too. With 0 a device may drop a write past the end, as
    /// llvmpipe does; a test that guards the ends of its tensors sees it when the guard is bound.
    pub bound_past_end: usize,
}

impl GpuExecutor {
    /// Plans memory, allocates it and compiles every kernel. Errors name the tensor or the sum that is too large.
    pub fn new(gpu: &Gpu, program: &Program, options: Options) -> Result<Self> {
        gpu.check_precision(program.precision())?;
        let limits = gpu.device.limits();
        let plan = Plan::new(
            program,
            Limits {
                binding: gpu.binding(),
                alignment: u64::from(limits.min_storage_buffer_offset_alignment),
                memory: gpu.memory(),
            },
        )?;
        let buffers: Vec<_> = plan.buffers.iter().map(|buffer| storage(gpu, &buffer.label, buffer.len)).collect();
        gpu.problems.check().map_err(|error| Error::Device(format!("{error} (the plan: {})", plan.memory())))?;
        let phases = Binder::new(gpu, program, &plan, &buffers, options)?.phases();
        gpu.problems.check()?;
        let readback = Readback::default();
        Ok(GpuExecutor { gpu: gpu.clone(), plan, buffers, phases, in_flight: VecDeque::new(), readback })
    }

    /// The variants in use, for kernels that have more than one.
    pub fn variants(gpu: &Gpu) -> Vec<(&'static str, &'static str)> {
        let several = crate::kernels::KERNELS.iter().filter(|kernel| kernel.variants.len() > 1);
        several.map(|kernel| (kernel.name, gpu.variant(kernel, Precision::F32).name)).collect()
    }

    fn place(&self, tensor: Tensor) -> Place {
        self.plan.place(tensor).expect("the host only touches tensors that keep their content")
    }

    fn submit(&mut self, encoder: wgpu::CommandEncoder) -> Result<wgpu::SubmissionIndex> {
        let index = self.gpu.queue.submit([encoder.finish()]);
        self.in_flight.push_back(index.clone());
        if self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.wait(oldest)?;
        }
        self.gpu.problems.check()?;
        Ok(index)
    }

    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let waited = self.gpu.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        self.gpu.problems.check()?;
        waited.map(|_| ()).map_err(|error| Error::Device(format!("waiting for the device failed: {error}")))
    }
}

impl Executor for GpuExecutor {
    fn write(&mut self, tensor: Tensor, words: &[u32]) {
        let place = self.place(tensor);
        assert_eq!(place.len, words.len(), "a write fills its tensor");
        let bytes = bytemuck::cast_slice(words);
        self.gpu.queue.write_buffer(&self.buffers[place.buffer], 4 * place.start as u64, bytes);
    }

    fn run(&mut self, phase: Phase) -> Result<()> {
        let mut done = 0;
        while let (name, dispatches) = &self.phases[phase.0]
            && done < dispatches.len()
        {
            let batch = &dispatches[done..][..submission_length(&dispatches[done..])];
            let label = wgpu::CommandEncoderDescriptor { label: Some(name) };
            let mut encoder = self.gpu.device.create_command_encoder(&label);
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for dispatch in batch {
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.bindings, &[]);
                let [x, y, z] = dispatch.grid;
                pass.dispatch_workgroups(x, y, z);
            }
            drop(pass);
            done += batch.len();
            self.submit(encoder)?;
        }
        Ok(())
    }

    fn read(&mut self, tensor: Tensor) -> Result<Vec<u32>> {
        // Requests are answered in order, so one made before stays in the queue behind a readback of its own.
        let mut own = Readback::default();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let place = self.place(tensor);
        let pending = own.copy(&self.gpu.device, &mut encoder, &[(&self.buffers[place.buffer], place)]);
        let index = self.submit(encoder)?;
        own.push(pending, index.clone());
        self.wait(Some(index))?;
        let words = own.pop(true)?.and_then(|mut tensors| tensors.pop());
        words.ok_or_else(|| Error::Device("the device finished without giving back what was read".into()))
    }

    fn request(&mut self, tensors: &[Tensor]) -> Result<()> {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let places: Vec<_> = tensors.iter().map(|&tensor| self.place(tensor)).collect();
        let sources: Vec<_> = places.iter().map(|&place| (&self.buffers[place.buffer], place)).collect();
        let pending = self.readback.copy(&self.gpu.device, &mut encoder, &sources);
        let index = self.submit(encoder)?;
        self.readback.push(pending, index);
        Ok(())
    }

    fn collect(&mut self, wait: bool) -> Result<Option<Vec<Vec<u32>>>> {
        if wait {
            if let Some(index) = self.readback.oldest() {
                self.wait(Some(index))?;
            }
        } else {
            let polled = self.gpu.device.poll(wgpu::PollType::Poll);
            polled.map_err(|error| Error::Device(format!("asking the device failed: {error}")))?;
        }
        self.gpu.problems.check()?;
        self.readback.pop(wait)
    }

    fn memory(&self) -> Memory {
        self.plan.memory()
    }
}

/// How many dispatches the next submission takes: at least one, then as many as its work allows.
fn submission_length(dispatches: &[Dispatch]) -> usize {
    let mut flops = 0;
    let fits = |dispatch: &&Dispatch| {
        flops += dispatch.flops;
        flops < FLOPS_A_SUBMISSION
    };
    dispatches.iter().take_while(fits).count().max(1)
}

fn storage(gpu: &Gpu, label: &str, len: usize) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: 4 * len.max(4) as u64,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// Turns the launches of a program into dispatches.
struct Binder<'a> {
    gpu: &'a Gpu,
    program: &'a Program,
    plan: &'a Plan,
    buffers: &'a [wgpu::Buffer],
    options: Options,
    /// The parameters of all launches, each at a multiple of the uniform alignment.
    uniforms: wgpu::Buffer,
    /// Bound in place of absent inputs and outputs.
    absent: [wgpu::Buffer; 2],
    layouts: HashMap<&'static str, wgpu::BindGroupLayout>,
    pipelines: HashMap<Source, wgpu::ComputePipeline>,
}

impl<'a> Binder<'a> {
    fn new(
        gpu: &'a Gpu,
        program: &'a Program,
        plan: &'a Plan,
        buffers: &'a [wgpu::Buffer],
        options: Options,
    ) -> Result<Self> {
        let launches = || program.phases.iter().flat_map(|phase| &phase.launches);
        let layouts: HashMap<_, _> = launches()
            .map(|launch| launch.kernel)
            .map(|kernel| (kernel.name, pipelines::layout(gpu, kernel)))
            .collect();
        let mut sources: Vec<Source> = launches().flat_map(|launch| sources(gpu, options, launch)).collect();
        sources.sort_by(|a, b| (a.kernel, a.entry, &a.wgsl).cmp(&(b.kernel, b.entry, &b.wgsl)));
        sources.dedup();
        let pipelines = pipelines::compile(gpu, sources, &layouts, options.checked)?;
        let uniforms = uniforms(gpu, launches());
        let absent = [storage(gpu, "absent input", 4), storage(gpu, "absent output", 4)];
        Ok(Binder { gpu, program, plan, buffers, options, uniforms, absent, layouts, pipelines })
    }

    fn phases(&self) -> Vec<(String, Vec<Dispatch>)> {
        let mut number = 0;
        let phases = self.program.phases.iter().map(|phase| {
            let dispatches = phase.launches.iter().flat_map(|launch| {
                number += 1;
                self.dispatches(launch, number - 1)
            });
            (phase.name.clone(), dispatches.collect())
        });
        phases.collect()
    }

    fn dispatches(&self, launch: &Launch, number: u64) -> Vec<Dispatch> {
        let variant = variant(self.gpu, self.options, launch);
        let bindings = self.bindings(launch, number);
        let flops = (launch.kernel.flops)(&launch.params) / variant.passes.len() as u64;
        let passes = sources(self.gpu, self.options, launch).zip(variant.passes).map(|(source, pass)| Dispatch {
            pipeline: self.pipelines[&source].clone(),
            bindings: bindings.clone(),
            grid: (pass.grid)(&launch.params),
            flops,
        });
        passes.collect()
    }

    fn bindings(&self, launch: &Launch, number: u64) -> wgpu::BindGroup {
        let uniform = wgpu::BufferBinding {
            buffer: &self.uniforms,
            offset: number * uniform_stride(self.gpu),
            size: wgpu::BufferSize::new(uniform_size(launch)),
        };
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
        for (place, &arg) in launch.args.iter().enumerate() {
            let binding = match self.plan.place(arg).filter(|_| arg != Tensor::NONE) {
                Some(at) => wgpu::BufferBinding {
                    buffer: &self.buffers[at.buffer],
                    offset: 4 * at.start as u64,
                    size: wgpu::BufferSize::new(4 * (at.len + self.options.bound_past_end) as u64),
                },
                None => self.absent[usize::from(launch.writes(place))].as_entire_buffer_binding(),
            };
            let resource = wgpu::BindingResource::Buffer(binding);
            entries.push(wgpu::BindGroupEntry { binding: place as u32 + 1, resource });
        }
        self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(launch.kernel.name),
            layout: &self.layouts[launch.kernel.name],
            entries: &entries,
        })
    }
}

/// The variant that a launch runs: the reference where another can't.
fn variant(gpu: &Gpu, options: Options, launch: &Launch) -> &'static Variant {
    let kernel = launch.kernel;
    let wanted = options.variant.map_or_else(|| gpu.variant(kernel, launch.precision), |place| &kernel.variants[place]);
    if gpu.offers(wanted) && wanted.suits(&launch.params, launch.precision) { wanted } else { kernel.reference() }
}

/// One source for each pass of a launch.
fn sources(gpu: &Gpu, options: Options, launch: &Launch) -> impl Iterator<Item = Source> {
    let variant = variant(gpu, options, launch);
    let mut wgsl = launch.kernel.wgsl(variant, &launch.params, launch.present(), launch.precision);
    if let Some(sabotage) = gpu.sabotage.filter(|sabotage| sabotage.hits(launch.kernel, variant)) {
        wgsl = sabotage.spoil(&wgsl);
    }
    let kernel = launch.kernel.name;
    variant.passes.iter().map(move |pass| Source { kernel, wgsl: wgsl.clone(), entry: pass.entry })
}

/// Distance between the parameters of two launches, in bytes.
fn uniform_stride(gpu: &Gpu) -> u64 {
    u64::from(gpu.device.limits().min_uniform_buffer_offset_alignment).max(256)
}

/// Backends want uniform bindings in multiples of 16 bytes.
fn uniform_size(launch: &Launch) -> u64 {
    (4 * launch.params.len() as u64).next_multiple_of(16)
}

fn uniforms<'a>(gpu: &Gpu, launches: impl Iterator<Item = &'a Launch>) -> wgpu::Buffer {
    let stride = uniform_stride(gpu) as usize;
    let mut bytes = Vec::new();
    for launch in launches {
        let start = bytes.len();
        bytes.extend_from_slice(bytemuck::cast_slice(&launch.params));
        bytes.resize(start + stride, 0);
    }
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("launch parameters"),
        size: bytes.len().max(stride) as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, &bytes);
    buffer
}
