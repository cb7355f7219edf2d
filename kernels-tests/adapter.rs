//! The GPUs that tests run on.
//!
//! The convention for every test of Cloze that needs one: it goes through `gpus`, so it fails where there is no adapter
//! and says how to get one, unless CLOZE_SKIP_GPU=1 is set; then it prints that it was skipped.

use cloze::exec::gpu::{Gpu, adapters};
use std::sync::LazyLock;

static GPUS: LazyLock<Vec<Gpu>> = LazyLock::new(|| {
    let open = |adapter| Gpu::open(adapter).unwrap_or_else(|error| panic!("{error}"));
    adapters().unwrap_or_else(|error| panic!("{error}")).iter().map(open).collect()
});

/// Every adapter of this machine, opened once; none when `CLOZE_SKIP_GPU=1` is set. Panics where there is none.
pub fn gpus(test: &str) -> &'static [Gpu] {
    if std::env::var("CLOZE_SKIP_GPU").is_ok_and(|value| value == "1") {
        eprintln!("{test}: skipped, because CLOZE_SKIP_GPU=1 is set");
        return &[];
    }
    assert!(
        !GPUS.is_empty(),
        "{test} needs a GPU that wgpu reaches, and there is none. On Debian or Ubuntu a software one comes with \
         `apt-get install mesa-vulkan-drivers libvulkan1`; CLOZE_SKIP_GPU=1 skips the tests that need one"
    );
    &GPUS
}
