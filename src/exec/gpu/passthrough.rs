//! Shaders that wgpu hands to Vulkan's driver as they are: those with cooperative matrices, whose SPIR-V is put right first.

use super::device::Gpu;
use super::memory_model::order_accesses;
use super::pipelines::Source;
use crate::{Error, Result};
use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Whether the device takes shaders as they are, and in SPIR-V.
pub(super) fn is_offered(gpu: &Gpu) -> bool {
    gpu.info.backend == wgpu::Backend::Vulkan && gpu.device.features().contains(wgpu::Features::PASSTHROUGH_SHADERS)
}

/// A module of a source that has matrices. It does without run-time checks, as `ShaderRuntimeChecks::unchecked` has it.
///
/// # Errors
/// With the compiler's message.
pub(super) fn module(gpu: &Gpu, source: &Source) -> Result<wgpu::ShaderModule> {
    let words = to_spirv(&source.wgsl, source.entry).map_err(|message| {
        Error::Device(format!("the shader of {} does not compile as SPIR-V: {message}", source.kernel))
    })?;
    // The size of a workgroup is for Metal; SPIR-V has its own.
    let entry = wgpu::PassthroughShaderEntryPoint { name: source.entry.into(), workgroup_size: (0, 0, 0) };
    let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
        label: Some(source.kernel),
        entry_points: vec![entry].into(),
        spirv: Some(order_accesses(words).into()),
        ..Default::default()
    };
    // SAFETY: the words come from naga, which validated the shader; what `order_accesses` adds are memory operands. Accesses
    // and loops without checks are safe for the reasons that `pipelines` gives.
    Ok(unsafe { gpu.device.create_shader_module_passthrough(descriptor) })
}

/// An entry point as wgpu 30 has naga write it for Vulkan without run-time checks. Bindings keep their numbers, since a
/// kernel's layout counts them up from 0, and wgpu numbers them anew in that order. Errors are the compiler's message.
pub(super) fn to_spirv(wgsl: &str, entry: &str) -> std::result::Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    // A variant runs where the device offers what it needs, so nothing is left to refuse.
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    let options = spv::Options {
        // Every driver with Vulkan's memory model reads this version. wgpu takes the newest that the device knows; for
        // compute shaders naga writes the same but for the list of variables that an entry point uses.
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        use_storage_input_output_16: false,
        ..Default::default()
    };
    let entry = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: entry.into() };
    spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|error| error.to_string())
}
