//! Mesa's driver for AMD (RADV), with a GPU that is not there: it compiles pipelines and reports statistics of them.
//!
//! RADV_FORCE_FAMILY names the GPU. The driver reads it once per process, and ends the process if it does not know the GPU.

use ash::{Device, Entry, Instance, ext, khr, vk};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

/// The driver's statistics of a pipeline, by its own names: registers, spills, instructions.
pub type Figures = BTreeMap<String, u64>;

pub struct AmdCompiler {
    device: Device,
    statistics: khr::pipeline_executable_properties::Device,
    /// The GPU, and the driver's version.
    pub name: String,
    /// The sides of the cooperative matrices that it has, of f16 into f32.
    pub matrices: Vec<u32>,
    /// Keeps the driver loaded, as does `_entry`.
    _instance: Instance,
    _entry: Entry,
}

impl AmdCompiler {
    /// Opens the device like wgpu, with everything that shaders may need, and also asks for statistics of pipelines.
    pub fn open() -> Result<Self, String> {
        // SAFETY: Vulkan's loader is a sound library; every call below is made as Vulkan demands, with valid structs that
        // outlive it. What is made lives as long as the process.
        unsafe {
            let entry = Entry::load().map_err(|error| format!("Vulkan's loader: {error}"))?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry.create_instance(&info, None).map_err(|error| format!("an instance: {error}"))?;
            let adapters = instance.enumerate_physical_devices().map_err(|error| format!("adapters: {error}"))?;
            let adapter = *adapters.first().ok_or("the driver has no adapter")?;
            let matrices = matrices(&entry, &instance, adapter);
            let device =
                open_device(&instance, adapter, !matrices.is_empty()).map_err(|error| format!("a device: {error}"))?;
            let statistics = khr::pipeline_executable_properties::Device::new(&instance, &device);
            let name = describe(&instance, adapter);
            Ok(AmdCompiler { device, statistics, name, matrices, _instance: instance, _entry: entry })
        }
    }

    /// Compiles an entry point of a shader like wgpu, with the uniform at binding 0 and storage buffers after it.
    pub fn compile(&self, words: &[u32], entry: &str, bindings: usize) -> Result<Figures, String> {
        self.pipeline(words, entry, bindings)
            .and_then(|pipeline| self.figures(pipeline))
            .map_err(|error| error.to_string())
    }

    fn pipeline(&self, words: &[u32], entry: &str, bindings: usize) -> Result<vk::Pipeline, vk::Result> {
        let buffers: Vec<_> = (0..bindings)
            .map(|binding| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding as u32)
                    .descriptor_type(match binding {
                        0 => vk::DescriptorType::UNIFORM_BUFFER,
                        _ => vk::DescriptorType::STORAGE_BUFFER,
                    })
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let entry = CString::new(entry).expect("names of entry points are of letters");
        // SAFETY: as in `open`; the words are SPIR-V that naga has written for these buffers.
        unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&buffers);
            let sets = [self.device.create_descriptor_set_layout(&info, None)?];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&info, None)?;
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&entry);
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let pipelines = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            pipelines.map(|pipelines| pipelines[0]).map_err(|(_, error)| error)
        }
    }

    fn figures(&self, pipeline: vk::Pipeline) -> Result<Figures, vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: as in `open`; the pipeline was made with statistics, and holds one executable, its only stage.
        let statistics = unsafe { self.statistics.get_pipeline_executable_statistics(&info)? };
        let whole = |statistic: &vk::PipelineExecutableStatisticKHR| match statistic.format {
            // SAFETY: the format says which member of the union is valid.
            vk::PipelineExecutableStatisticFormatKHR::UINT64 => Some(unsafe { statistic.value.u64 }),
            _ => None,
        };
        let named = statistics.iter().filter_map(|statistic| {
            let name = statistic.name_as_c_str().ok()?.to_string_lossy().into_owned();
            Some((name, whole(statistic)?))
        });
        Ok(named.collect())
    }
}

/// The sides of an adapter's cooperative matrices of f16 into f32 in subgroup scope.
unsafe fn matrices(entry: &Entry, instance: &Instance, adapter: vk::PhysicalDevice) -> Vec<u32> {
    // SAFETY: the extension is only queried if the adapter offers it.
    unsafe {
        if !offers(instance, adapter, khr::cooperative_matrix::NAME) {
            return Vec::new();
        }
        let extension = khr::cooperative_matrix::Instance::new(entry, instance);
        let properties = extension.get_physical_device_cooperative_matrix_properties(adapter).unwrap_or_default();
        let (half, single) = (vk::ComponentTypeKHR::FLOAT16, vk::ComponentTypeKHR::FLOAT32);
        let fitting = properties.iter().filter(|matrix| {
            (matrix.m_size, matrix.n_size) == (matrix.n_size, matrix.k_size)
                && (matrix.a_type, matrix.b_type) == (half, half)
                && (matrix.c_type, matrix.result_type) == (single, single)
                && matrix.scope == vk::ScopeKHR::SUBGROUP
        });
        fitting.map(|matrix| matrix.m_size).collect()
    }
}

unsafe fn offers(instance: &Instance, adapter: vk::PhysicalDevice, extension: &CStr) -> bool {
    // SAFETY: the adapter is one of the instance's.
    let offered = unsafe { instance.enumerate_device_extension_properties(adapter) }.unwrap_or_default();
    offered.iter().any(|offered| offered.extension_name_as_c_str() == Ok(extension))
}

unsafe fn open_device(instance: &Instance, adapter: vk::PhysicalDevice, matrices: bool) -> Result<Device, vk::Result> {
    let mut extensions = vec![khr::pipeline_executable_properties::NAME.as_ptr(), ext::robustness2::NAME.as_ptr()];
    if matrices {
        extensions.push(khr::cooperative_matrix::NAME.as_ptr());
    }
    let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
    let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true).shader_int64(true);
    let mut storage = vk::PhysicalDeviceVulkan11Features::default()
        .storage_buffer16_bit_access(true)
        .uniform_and_storage_buffer16_bit_access(true);
    let mut numbers = vk::PhysicalDeviceVulkan12Features::default()
        .shader_float16(true)
        .vulkan_memory_model(true)
        .vulkan_memory_model_device_scope(true);
    let mut subgroups = vk::PhysicalDeviceVulkan13Features::default().subgroup_size_control(true).maintenance4(true);
    let mut statistics =
        vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    // wgpu uses it wherever it can, and it keeps the compiler from joining some loads.
    let mut robustness =
        vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true).robust_image_access2(true);
    let mut cooperative = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
    let mut info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&extensions)
        .enabled_features(&core)
        .push_next(&mut storage)
        .push_next(&mut numbers)
        .push_next(&mut subgroups)
        .push_next(&mut statistics)
        .push_next(&mut robustness);
    if matrices {
        info = info.push_next(&mut cooperative);
    }
    // SAFETY: the adapter is one of the instance's; every struct and name outlives the call.
    unsafe { instance.create_device(adapter, &info, None) }
}

/// `RADV NAVI21 (Mesa 22.3.6)`
unsafe fn describe(instance: &Instance, adapter: vk::PhysicalDevice) -> String {
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
    // SAFETY: the adapter is one of the instance's, and of Vulkan 1.2 at least.
    unsafe { instance.get_physical_device_properties2(adapter, &mut properties) };
    let name = properties.properties.device_name_as_c_str().unwrap_or_default().to_string_lossy().into_owned();
    let version = driver.driver_info_as_c_str().unwrap_or_default().to_string_lossy();
    format!("{name}, {version}")
}
