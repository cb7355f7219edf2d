//! Makes pipelines from shaders. Each text is compiled once per device; those of a program are compiled in parallel.

use super::device::Gpu;
use super::passthrough;
use crate::Result;
use crate::kernels::kernel::{Kernel, Pass};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What has to be compiled for a launch.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub bindings: Bindings,
    pub wgsl: String,
    pub entry: &'static str,
    /// Whether it multiplies cooperative matrices.
    pub matrices: bool,
}

/// What decides the layout of a bind group: a kernel's name, and the arguments that a pass names.
pub(super) type Bindings = (&'static str, &'static [&'static str]);

/// A layout for each key that the program's passes have.
pub(super) type Layouts = HashMap<Bindings, wgpu::BindGroupLayout>;

/// What was compiled for a device, with bounds checks or without. It is shared, since training and evaluation have most of it
/// in common.
#[derive(Clone, Default)]
pub(super) struct Compiled(Arc<Mutex<Pipelines>>);

type Pipelines = HashMap<(Source, bool), wgpu::ComputePipeline>;

impl Compiled {
    fn lock(&self) -> MutexGuard<'_, Pipelines> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The uniform parameters, then the arguments of a pass.
pub(super) fn layout(gpu: &Gpu, kernel: &Kernel, pass: &Pass) -> wgpu::BindGroupLayout {
    let buffer = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let uniform = buffer(0, wgpu::BufferBindingType::Uniform);
    let storage = kernel
        .bound(pass)
        .map(|(place, arg)| buffer(place + 1, wgpu::BufferBindingType::Storage { read_only: arg.access.reads_only() }));
    gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(kernel.name),
        entries: &std::iter::once(uniform).chain(storage).collect::<Vec<_>>(),
    })
}

/// A pipeline for every source. `checked` keeps bounds checks in the shaders. Errors with the compiler's first message.
pub(super) fn compile(
    gpu: &Gpu,
    sources: Vec<Source>,
    layouts: &Layouts,
    checked: bool,
) -> Result<HashMap<Source, wgpu::ComputePipeline>> {
    let found = |source: Source| (gpu.compiled.lock().get(&(source.clone(), checked)).cloned(), source);
    let pipelines = sources.into_par_iter().map(found).map(|(found, source)| {
        let pipeline = found.map_or_else(|| pipeline(gpu, &source, &layouts[&source.bindings], checked), Ok)?;
        Ok((source, pipeline))
    });
    let pipelines: HashMap<_, _> = pipelines.collect::<Result<_>>()?;
    gpu.check()?;
    gpu.pipelines.iter().for_each(|kept| kept.keep());
    gpu.compiled
        .lock()
        .extend(pipelines.iter().map(|(source, pipeline)| ((source.clone(), checked), pipeline.clone())));
    Ok(pipelines)
}

fn pipeline(
    gpu: &Gpu,
    source: &Source,
    layout: &wgpu::BindGroupLayout,
    checked: bool,
) -> Result<wgpu::ComputePipeline> {
    let module = module(gpu, source, checked)?;
    let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(source.bindings.0),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(source.bindings.0),
        layout: Some(&layout),
        module: &module,
        entry_point: Some(source.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: gpu.pipelines.as_ref().map(|kept| &kept.cache),
    });
    Ok(pipeline)
}

/// Checked shaders, which tests run, always go through wgpu, since it compares what they bind with the layout.
fn module(gpu: &Gpu, source: &Source, checked: bool) -> Result<wgpu::ShaderModule> {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(source.bindings.0),
        source: wgpu::ShaderSource::Wgsl(source.wgsl.as_str().into()),
    };
    if checked {
        return Ok(gpu.device.create_shader_module(descriptor));
    }
    if source.matrices && passthrough::is_offered(gpu) {
        return passthrough::module(gpu, source);
    }
    let checks = wgpu::ShaderRuntimeChecks::unchecked();
    // SAFETY: the shaders are compiled into this binary. Their loops end, and recording a program checks every argument's
    // length against what the kernel touches. The tests also run them with checks.
    Ok(unsafe { gpu.device.create_shader_module_trusted(descriptor, checks) })
}
