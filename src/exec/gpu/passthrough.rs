//! Shaders that are handed to Vulkan's driver unchanged by wgpu: those with cooperative matrices. naga leaves their SPIR-V
//! incomplete; see `kernels/memory_model.rs`.

use super::device::Gpu;
use super::pipelines::Source;
use crate::Result;
use crate::kernels::translate::Parsed;

/// Whether the device takes SPIR-V shaders unchanged.
pub(super) fn is_offered(gpu: &Gpu) -> bool {
    gpu.info.backend == wgpu::Backend::Vulkan && gpu.device.features().contains(wgpu::Features::PASSTHROUGH_SHADERS)
}

/// A module from a source with matrices. It has no run-time checks, as with `ShaderRuntimeChecks::unchecked`.
///
/// # Errors
/// The compiler refuses the shader; the message is its own.
pub(super) fn module(gpu: &Gpu, source: &Source) -> Result<wgpu::ShaderModule> {
    // A variant only runs on a device that has what it needs, so nothing is left to refuse.
    let words = Parsed::new(&source.wgsl, wgpu::Features::all())?.spirv(source.entry)?;
    // Only Metal needs the workgroup size here; SPIR-V has its own.
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
