//! Tests that need a GPU, or a program that imitates one.

/// Whether there is an adapter. Without one the test fails, unless CLOZE_SKIP_GPU=1 allows it to be skipped.
pub fn present() -> bool {
    if !cloze::exec::gpu::adapters().unwrap().is_empty() {
        return true;
    }
    let skip = std::env::var("CLOZE_SKIP_GPU").is_ok_and(|value| value == "1");
    assert!(
        skip,
        "this test needs a Vulkan adapter, and a software one will do: apt-get install mesa-vulkan-drivers libvulkan1; \
         CLOZE_SKIP_GPU=1 skips it"
    );
    println!("skipped: there is no adapter, and CLOZE_SKIP_GPU=1");
    false
}
