//! Turns the launches of a program into dispatches: pipelines, bind groups and grids, made once.

use super::device::Gpu;
use super::pipelines::{self, Layouts, Source};
use super::{Options, cut};
use crate::Result;
use crate::exec::plan::Plan;
use crate::exec::program::{Cost, Launch, Program, Tensor};
use crate::kernels::Variant;
use crate::kernels::gradient_norm::OPTIMIZER_WORDS;
use crate::kernels::kernel::Pass;
use std::collections::HashMap;

/// The buffer bound for an absent argument. It is as long as any struct that a shader declares.
const ABSENT_WORDS: usize = OPTIMIZER_WORDS;

/// One pass of a launch, or a part of it, ready to be encoded.
pub(super) struct Dispatch {
    pub kernel: &'static str,
    pub variant: &'static str,
    /// The entry point of the pass.
    pub entry: &'static str,
    /// Whether it is the first pass of its launch, or the first part of that pass.
    pub first: bool,
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroup,
    pub grid: [u32; 3],
    /// Its share of the launch's cost.
    pub cost: Cost,
}

impl Dispatch {
    /// Encodes it into a compute pass that has its pipeline set.
    pub fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_bind_group(0, &self.bindings, &[]);
        let [x, y, z] = self.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

pub(super) struct Binder<'a> {
    gpu: &'a Gpu,
    program: &'a Program,
    plan: &'a Plan,
    buffers: &'a [wgpu::Buffer],
    options: Options,
    /// The parameters of all launches, each at a multiple of the uniform alignment.
    uniforms: wgpu::Buffer,
    /// Bound in place of absent inputs and outputs.
    absent: [wgpu::Buffer; 2],
    layouts: Layouts,
    pipelines: HashMap<Source, wgpu::ComputePipeline>,
}

impl<'a> Binder<'a> {
    pub fn new(
        gpu: &'a Gpu,
        program: &'a Program,
        plan: &'a Plan,
        buffers: &'a [wgpu::Buffer],
        options: Options,
    ) -> Result<Self> {
        let launches = || program.phases.iter().flat_map(|phase| &phase.launches);
        let passes =
            launches().flat_map(|launch| variant(gpu, options, launch).passes.iter().map(move |pass| (launch, pass)));
        let layouts: Layouts = passes
            .map(|(launch, pass)| ((launch.kernel.name, pass.args), pipelines::layout(gpu, launch.kernel, pass)))
            .collect();
        let mut sources: Vec<Source> =
            launches().flat_map(|launch| steps(gpu, options, launch)).map(|step| step.source).collect();
        sources.sort_by(|a, b| (a.bindings, a.entry, &a.wgsl).cmp(&(b.bindings, b.entry, &b.wgsl)));
        sources.dedup();
        let pipelines = pipelines::compile(gpu, sources, &layouts, options.checked)?;
        let uniforms = uniforms(gpu, launches());
        let absent = ["absent input", "absent output"].map(|label| storage(gpu, label, ABSENT_WORDS));
        Ok(Binder { gpu, program, plan, buffers, options, uniforms, absent, layouts, pipelines })
    }

    /// Name and dispatches of every phase.
    pub fn phases(&self) -> Vec<(String, Vec<Dispatch>)> {
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
        let variant = variant(self.gpu, self.options, launch).name;
        let dispatch = |(place, step): (usize, Step)| Dispatch {
            kernel: launch.kernel.name,
            variant,
            entry: step.pass.entry,
            first: place == 0,
            pipeline: self.pipelines[&step.source].clone(),
            bindings: self.bindings(launch, step.pass, number),
            grid: step.grid,
            cost: step.cost,
        };
        steps(self.gpu, self.options, launch).into_iter().enumerate().map(dispatch).collect()
    }

    fn bindings(&self, launch: &Launch, pass: &Pass, number: u64) -> wgpu::BindGroup {
        let uniform = wgpu::BufferBinding {
            buffer: &self.uniforms,
            offset: number * uniform_stride(self.gpu),
            size: wgpu::BufferSize::new(uniform_size(launch)),
        };
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
        for (place, _) in launch.kernel.bound(pass) {
            let arg = launch.args[place];
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
            layout: &self.layouts[&(launch.kernel.name, pass.args)],
            entries: &entries,
        })
    }
}

/// The variant that a launch runs. The reference stands in for one that cannot run it.
fn variant(gpu: &Gpu, options: Options, launch: &Launch) -> &'static Variant {
    let kernel = launch.kernel;
    let Some(place) = launch.variant.or(options.variant) else {
        return gpu.variant_for(kernel, &launch.params, launch.present(), launch.precision);
    };
    let wanted = &kernel.variants[place];
    if gpu.offers(wanted) && wanted.suits(&launch.params, launch.precision) { wanted } else { kernel.reference() }
}

/// The inputs that a dispatch is made from.
struct Step {
    source: Source,
    pass: &'static Pass,
    grid: [u32; 3],
    cost: Cost,
}

/// One step for each pass of a launch, or several if it would take a slow device long.
fn steps(gpu: &Gpu, options: Options, launch: &Launch) -> Vec<Step> {
    let variant = variant(gpu, options, launch);
    let features = gpu.device.features().difference(options.without);
    let mut wgsl = launch.kernel.wgsl(variant, &launch.params, launch.present(), launch.precision, features);
    if let Some(sabotage) = gpu.sabotage.filter(|sabotage| sabotage.hits(launch.kernel, variant)) {
        wgsl = sabotage.spoil(&wgsl);
    }
    let (kernel, matrices) = (launch.kernel.name, variant.matrices.is_some());
    let source = |pass: &Pass, wgsl| Source { bindings: (kernel, pass.args), wgsl, entry: pass.entry, matrices };
    let cost = launch.cost() / variant.passes.len() as u64;
    let count = cost.flops.div_ceil(gpu.most_flops.unwrap_or_else(|| cut::most_flops(gpu.class())));
    let mut steps = Vec::new();
    for pass in variant.passes {
        let whole = (pass.grid)(&launch.params);
        let parts = cut::parts(whole, count);
        if parts.len() == 1 {
            steps.push(Step { source: source(pass, wgsl.clone()), pass, grid: whole, cost });
            continue;
        }
        let cost = cost / parts.len() as u64;
        steps.extend(parts.into_iter().map(|part| {
            let source = source(pass, cut::text(&wgsl, whole, part));
            Step { source, pass, grid: part.grid, cost }
        }));
    }
    steps
}

/// Distance between the parameters of consecutive launches, in bytes.
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

pub(super) fn storage(gpu: &Gpu, label: &str, len: usize) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: 4 * len.max(4) as u64,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}
