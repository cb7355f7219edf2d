#!/usr/bin/env bash
# Everything that must hold, from a fresh clone. Needs Rust and a C toolchain; where no GPU is found it installs Mesa's
# software Vulkan driver (llvmpipe), which is enough for the tests. CLOZE_SKIP_GPU=1 does without.
set -euo pipefail
cd "$(dirname "$0")"

# Runs a command and says how long it took.
phase() {
    local start=$SECONDS
    echo "== $*"
    "$@"
    echo "== $* took $((SECONDS - start)) s"
}

has_adapter() { target/release/cloze devices | grep -qE '^ *[0-9]+ '; }

install_llvmpipe() {
    if ! command -v apt-get > /dev/null; then
        echo "There is no Vulkan adapter. Install a driver: on Fedora mesa-vulkan-drivers and vulkan-loader, on Arch" >&2
        echo "vulkan-swrast, on Windows and macOS the system has one. Or set CLOZE_SKIP_GPU=1." >&2
        return 1
    fi
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update
    $sudo apt-get install --yes mesa-vulkan-drivers libvulkan1
}

export CARGO_TARGET_DIR=$PWD/target
phase cargo fmt --check
phase cargo build --release
if [ "${CLOZE_SKIP_GPU:-0}" != 1 ] && ! has_adapter; then
    phase install_llvmpipe
fi
phase cargo clippy --release --all-targets -- -D warnings
phase cargo test --release
echo "All of it holds; $SECONDS s."
