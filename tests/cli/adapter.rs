//! Tests that need a GPU, or a program that imitates one.

use std::fmt::Display;
use std::io::Write;

/// Whether there is an adapter. Without one the test fails, unless CLOZE_SKIP_GPU=1 asks for it to be left out, which it says
/// then.
pub fn present() -> bool {
    if std::env::var("CLOZE_SKIP_GPU").is_ok_and(|value| value == "1") {
        skip("CLOZE_SKIP_GPU=1 is set");
        return false;
    }
    assert!(
        !cloze::exec::gpu::adapters().unwrap().is_empty(),
        "this test needs a Vulkan adapter, and a software one will do: apt-get install mesa-vulkan-drivers libvulkan1; \
         CLOZE_SKIP_GPU=1 skips it"
    );
    true
}

/// Says what of the test at hand, whose name its thread has, does not run here. Past the capture of what a test prints, which
/// hides it when the test passes.
pub fn skip(why: impl Display) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "{}: skipped, {why}", thread.name().unwrap_or("a test"));
}
