//! Shaders in the languages that drivers read, as wgpu passes them on. naga writes them, one entry point at a time, without
//! run-time checks and without zeroed workgroup memory.

use super::memory_model::order_accesses;
use crate::{Error, Result};
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess};
use wgpu::Features;

/// The version that wgpu writes for Macs since macOS 14; it has matrices and half precision.
const METAL: (u8, u8) = (3, 1);

const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// A shader that naga has parsed and validated.
pub struct Parsed {
    pub module: Module,
    pub info: ModuleInfo,
    needs: Features,
}

impl Parsed {
    /// Parses a shader that needs these features of an adapter.
    ///
    /// # Errors
    /// The shader is not valid WGSL; the message is the compiler's, with the lines concerned.
    pub fn new(wgsl: &str, needs: Features) -> Result<Self> {
        let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| Error::device(error.emit_to_string(wgsl)))?;
        let info = Validator::new(ValidationFlags::all(), capabilities(needs))
            .validate(&module)
            .map_err(|error| Error::device(error.emit_to_string(wgsl)))?;
        Ok(Parsed { module, info, needs })
    }

    /// The SPIR-V that a Vulkan device gets for an entry point, as wgpu has naga write it. If a shader has cooperative
    /// matrices, its memory is put in order, and the version is one that every driver with Vulkan's memory model reads.
    ///
    /// # Errors
    /// There is no such entry point, or naga can't express it in SPIR-V.
    pub fn spirv(&self, entry: &str) -> Result<Vec<u32>> {
        self.unordered(entry).map(order_accesses)
    }

    /// `spirv` before its memory is put in order.
    pub(super) fn unordered(&self, entry: &str) -> Result<Vec<u32>> {
        let options = spv::Options {
            lang_version: if self.has_matrices() { (1, 3) } else { (1, 6) },
            flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            use_storage_input_output_16: false,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
        let words = spv::write_vec(&self.module, &self.info, &options, Some(&pipeline));
        words.map_err(|error| fails("SPIR-V", error))
    }

    /// The text that wgpu gives a Metal device for an entry point. Arguments are in the buffers of their binding numbers, and
    /// their lengths are in the next buffer.
    ///
    /// # Errors
    /// There is no such entry point, or naga can't express it in MSL.
    pub fn metal(&self, entry: &str) -> Result<String> {
        let options = msl::Options {
            lang_version: METAL,
            per_entry_point_map: [(entry.into(), self.metal_buffers())].into(),
            fake_missing_bindings: false,
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..Default::default()
        };
        let pipeline =
            msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.into())), ..Default::default() };
        let (text, written) =
            msl::write_string(&self.module, &self.info, &options, &pipeline).map_err(|error| fails("MSL", error))?;
        written.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| fails("MSL", error))?;
        Ok(text)
    }

    fn metal_buffers(&self) -> msl::EntryPointResources {
        let variables = self.module.global_variables.iter().map(|(_, variable)| variable);
        let bound = variables.filter_map(|variable| Some((variable.binding?, variable.space)));
        let resources: msl::BindingMap = bound
            .map(|(binding, space)| {
                let mutable =
                    matches!(space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
                let buffer = Some(binding.binding as msl::Slot);
                (binding, msl::BindTarget { buffer, mutable, ..Default::default() })
            })
            .collect();
        let sizes_buffer = Some(resources.len() as msl::Slot);
        msl::EntryPointResources { resources, immediates_buffer: None, sizes_buffer }
    }

    /// The text that wgpu gives a DX12 device for an entry point, with registers numbered by bindings.
    ///
    /// # Errors
    /// There is no such entry point, or naga can't express it in HLSL, which has no cooperative matrices.
    pub fn hlsl(&self, entry: &str) -> Result<String> {
        let options = hlsl::Options {
            shader_model: self.shader_model(),
            zero_initialize_workgroup_memory: false,
            restrict_indexing: false,
            force_loop_bounding: false,
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.into())) };
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| fails("HLSL", error))?;
        written.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| fails("HLSL", error))?;
        Ok(text)
    }

    /// The oldest version that has what the shader needs, since any compiler takes that.
    fn shader_model(&self) -> hlsl::ShaderModel {
        if self.needs.is_empty() { hlsl::ShaderModel::V5_1 } else { hlsl::ShaderModel::V6_2 }
    }

    /// Whether DX12 drivers exist with all that the shader needs: none has cooperative matrices.
    pub fn suits_dx12(&self) -> bool {
        !self.has_matrices()
    }

    fn has_matrices(&self) -> bool {
        self.needs.contains(Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    }
}

/// What naga has to allow for an adapter with these features.
fn capabilities(needs: Features) -> Capabilities {
    let needed = [
        (Features::SUBGROUP, Capabilities::SUBGROUP),
        (Features::SHADER_F16, Capabilities::SHADER_FLOAT16),
        (Features::SHADER_INT64, Capabilities::SHADER_INT64),
        (Features::EXPERIMENTAL_COOPERATIVE_MATRIX, Capabilities::COOPERATIVE_MATRIX),
    ];
    let needed = needed.iter().filter(|(feature, _)| needs.contains(*feature));
    needed.fold(Capabilities::default(), |all, (_, capability)| all | *capability)
}

fn fails(language: &str, error: impl std::fmt::Display) -> Error {
    Error::device(format!("as {language}: {error}"))
}
