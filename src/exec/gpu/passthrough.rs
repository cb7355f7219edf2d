//! Shaders that wgpu hands to Vulkan's driver as they are: those with cooperative matrices, whose SPIR-V naga
//! leaves incomplete: see `kernels/memory_model.rs`.

use super::device::Gpu;
use super::pipelines::Source;
use crate::Result;
use crate::kernels::translate::Parsed;

/// Whether the device takes shaders as they are, and in SPIR-V.
pub(super) fn is_offered(gpu: &Gpu) -> bool {
    gpu.info.backend == wgpu::Backend::Vulkan && gpu.device.features().contains(wgpu::Features::PASSTHROUGH_SHADERS)
}

/// A module of a source that has matrices. It does without run-time checks, as `ShaderRuntimeChecks::unchecked` has it.
///
/// # Errors
/// With the compiler's message.
pub(super) fn module(gpu: &Gpu, source: &Source) -> Result<wgpu::ShaderModule> {
    // A variant runs where the device offers what it needs, so nothing is left to refuse.
    let words = Parsed::new(&source.wgsl, wgpu::Features::all())?.spirv(source.entry)?;
    // The size of a workgroup is for Metal; SPIR-V has its own.
    let entry = wgpu::PassthroughShaderEntryPoint { name: source.entry.into(), workgroup_size: (0, 0, 0) };
    let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
        label: Some(source.bindings.0),
        entry_points: vec![entry].into(),
        spirv: Some(words.into()),
        ..Default::default()
    };
    // SAFETY: the words come from naga, which validated the shader; what is added to them are memory operands. Accesses
    // and loops without checks are safe for the reasons that `pipelines` gives.
    Ok(unsafe { gpu.device.create_shader_module_passthrough(descriptor) })
}
