// multiply_high.wgsl for devices with 64-bit integers.
fn multiply_high(a: u32, b: u32) -> u32 {
    return u32((u64(a) * u64(b)) >> 32u);
}
