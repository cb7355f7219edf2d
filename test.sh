#!/usr/bin/env bash
# Formats, lints, documents and tests everything, from a fresh clone: needs Rust, a C toolchain and a network for cargo; on
# Windows, Git's bash. On Linux it installs Mesa's drivers where there is no Vulkan adapter, since llvmpipe is a software one, or
# where AMD's compiler is missing, which a test needs. CLOZE_SKIP_GPU=1 leaves out the tests that need a driver.
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

has_amd_compiler() {
    [ -n "$(ls /usr/share/vulkan/icd.d/radeon* /usr/local/share/vulkan/icd.d/radeon* /etc/vulkan/icd.d/radeon* 2>/dev/null)" ]
}

has_drivers() {
    has_adapter && { [ "$(uname)" != Linux ] || has_amd_compiler; }
}

install_drivers() {
    if [ "$(uname)" != Linux ]; then
        echo "no GPU that Cloze can use: \`cloze devices\` lists none here; CLOZE_SKIP_GPU=1 leaves out the tests that need one" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null; then
        echo "no Vulkan adapter, or no AMD compiler: install Mesa's Vulkan drivers, those of AMD (radeon) and llvmpipe among them," \
            "and the Vulkan loader, or set CLOZE_SKIP_GPU=1" >&2
        exit 1
    fi
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1
    has_drivers || { echo "Mesa's drivers are installed, and still there is no Vulkan adapter or no AMD compiler" >&2; exit 1; }
}

phase cargo fmt --check
# Builds the binary as well, with the features that the tests' dependencies turn on, so that nothing is built twice.
phase cargo test --release --locked --no-run
if [ "${CLOZE_SKIP_GPU:-}" != 1 ] && ! has_drivers; then
    phase install_drivers
fi
phase cargo test --release --locked
# In the same profile, so that build scripts and macros are not built twice.
phase cargo clippy --release --all-targets --locked -- -D warnings
phase env RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --locked
echo "all passed in $SECONDS s"
