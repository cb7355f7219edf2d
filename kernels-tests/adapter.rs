//! The GPUs that tests run on.
//!
//! Every test of Cloze that needs a GPU goes through `gpus`. So it fails if there is no adapter and says how to get one, unless
//! CLOZE_SKIP_GPU=1 is set; then it says that it was skipped.

use cloze::exec::gpu::{Gpu, adapters};
use cloze::kernels::{Kernel, Precision, Variant};
use std::fmt::Display;
use std::io::Write;
use std::sync::LazyLock;

static GPUS: LazyLock<Vec<Gpu>> = LazyLock::new(|| {
    let open = |adapter| Gpu::open(adapter).unwrap_or_else(|error| panic!("{error}"));
    adapters().unwrap_or_else(|error| panic!("{error}")).iter().map(open).collect()
});

/// Every adapter of this machine, opened once; none if `CLOZE_SKIP_GPU=1` is set. Panics if there is none.
pub fn gpus(test: &str) -> &'static [Gpu] {
    if are_skipped(test) {
        return &[];
    }
    assert!(
        !GPUS.is_empty(),
        "{test} needs a GPU that wgpu reaches, and there is none. On Debian or Ubuntu a software one comes with \
         `apt-get install mesa-vulkan-drivers libvulkan1`; CLOZE_SKIP_GPU=1 skips the tests that need one"
    );
    &GPUS
}

/// Whether CLOZE_SKIP_GPU=1 asks to skip GPU tests; prints that they are skipped.
pub fn are_skipped(test: &str) -> bool {
    let skipped = std::env::var("CLOZE_SKIP_GPU").is_ok_and(|value| value == "1");
    if skipped {
        skip(test, "CLOZE_SKIP_GPU=1 is set");
    }
    skipped
}

/// Prints what part of a test does not run here. It bypasses the capture of a test's output, which hides output when the test
/// passes.
pub fn skip(test: &str, why: impl Display) {
    let _ = writeln!(std::io::stderr(), "{test}: skipped, {why}");
}

/// Whether an adapter supports a precision; prints a note if it does not.
pub fn computes_in(gpu: &Gpu, precision: Precision, test: &str) -> bool {
    let possible = gpu.check_precision(precision);
    if let Err(error) = &possible {
        assert_ne!(precision, Precision::F32, "{error}");
        skip(test, error);
    }
    possible.is_ok()
}

/// The variants of a kernel that an adapter can run in a precision, with their places, and the names of those for which it
/// lacks something.
pub fn offered(
    gpu: &Gpu,
    kernel: &'static Kernel,
    precision: Precision,
) -> (Vec<(usize, &'static Variant)>, Vec<String>) {
    let variants = kernel.variants.iter().enumerate().filter(|(_, variant)| variant.computes_in(precision));
    let (offered, lacking): (Vec<_>, Vec<_>) = variants.partition(|(_, variant)| gpu.offers(variant));
    for (_, variant) in &lacking {
        let modest = variant.needs.is_empty() && variant.workgroup_memory <= 16 * 1024;
        let asks = !modest || variant.matrices.is_some() || variant.lanes.is_some();
        assert!(asks, "{}: {} {} needs nothing, and is not offered", gpu.describe(), kernel.name, variant.name);
    }
    (offered, lacking.iter().map(|(_, variant)| format!("{}/{}", kernel.name, variant.name)).collect())
}
