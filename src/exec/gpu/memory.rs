//! Free memory of a GPU, from Vulkan's VK_EXT_memory_budget, since WebGPU does not report it.

/// The share of its budget that wgpu fills at most: see `for_resource_creation` where the instance is made.
const SHARE: f64 = 0.95;

/// Bytes that can still be allocated in the largest heap of the device; `None` if the backend does not report it.
#[cfg(target_vendor = "apple")]
pub(super) fn free(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// Bytes that can still be allocated in the largest heap of the device; `None` if the backend does not report it.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn free(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::vk;

    // SAFETY: the adapter is only queried, and lives as long as this call.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let (instance, device) = (adapter.shared_instance(), adapter.physical_device_capabilities());
    let version = instance.instance_api_version().min(device.properties().api_version);
    if version < vk::API_VERSION_1_1 || !device.supports_extension(ash::ext::memory_budget::NAME) {
        return None;
    }
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
    // SAFETY: the physical device belongs to this instance of at least Vulkan 1.1, and both structs live until the call
    // returns.
    unsafe {
        instance.raw_instance().get_physical_device_memory_properties2(adapter.raw_physical_device(), &mut properties)
    };
    let heaps = properties.memory_properties;
    let local = |heap: &usize| heaps.memory_heaps[*heap].flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
    let largest =
        (0..heaps.memory_heap_count as usize).filter(local).max_by_key(|heap| heaps.memory_heaps[*heap].size)?;
    let (budget, used) = (budget.heap_budget[largest], budget.heap_usage[largest]);
    Some(((SHARE * budget as f64) as u64).saturating_sub(used))
}
