#!/usr/bin/env bash
# Formats, lints and tests everything, from a fresh clone: needs Rust, a C toolchain and a network for cargo.
# Without a Vulkan adapter it installs llvmpipe, a software one. CLOZE_SKIP_GPU=1 leaves out the tests that need one.
set -euo pipefail
cd "$(dirname "$0")"

phase() {
    local start=$SECONDS
    echo "== $*"
    "$@"
    echo "== $((SECONDS - start)) s: $*"
}

has_adapter() {
    "${CARGO_TARGET_DIR:-target}/release/cloze" devices 2>/dev/null | grep -qE '^ +0  '
}

install_adapter() {
    if ! command -v apt-get >/dev/null; then
        echo "no Vulkan adapter: install a driver, or Mesa's llvmpipe (mesa-vulkan-drivers and the Vulkan loader)," \
            "or set CLOZE_SKIP_GPU=1" >&2
        exit 1
    fi
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1
    has_adapter || { echo "llvmpipe is installed, and still there is no Vulkan adapter" >&2; exit 1; }
}

phase cargo fmt --check
# Builds the binary as well, with the features that the tests' dependencies turn on, so that nothing is built twice.
phase cargo test --release --locked --no-run
if [ "${CLOZE_SKIP_GPU:-}" != 1 ] && ! has_adapter; then
    phase install_adapter
fi
phase cargo test --release --locked
# In the same profile, so that build scripts and macros are not built twice.
phase cargo clippy --release --all-targets --locked -- -D warnings
echo "all passed in $SECONDS s"
