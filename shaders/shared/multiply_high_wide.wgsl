// multiply_high.wgsl on devices with integers of 64 bits.
fn multiply_high(a: u32, b: u32) -> u32 {
    return u32((u64(a) * u64(b)) >> 32u);
}
