//! For tests that need a GPU, or a software adapter.

use std::fmt::Display;
use std::io::Write;

/// Whether there is an adapter. Without one the test fails, unless CLOZE_SKIP_GPU=1 is set: then it is left out, and a message
/// says so.
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

/// Says which part of the current test, whose name is that of its thread, does not run here. It bypasses the capture of a
/// test's output, which would hide the message when the test passes.
pub fn skip(why: impl Display) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "{}: skipped, {why}", thread.name().unwrap_or("a test"));
}
