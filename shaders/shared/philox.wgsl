// Philox4x32-7, bit for bit as in src/random.rs. multiply_high comes from multiply_high.wgsl or multiply_high_wide.wgsl,
// depending on the device.
fn philox(key: vec2<u32>, counter: vec4<u32>) -> vec4<u32> {
    var k = key;
    var c = counter;
    for (var round = 0u; round < 7u; round++) {
        let high0 = multiply_high(0xD2511F53u, c.x);
        let high1 = multiply_high(0xCD9E8D57u, c.z);
        c = vec4<u32>(high1 ^ c.y ^ k.x, 0xCD9E8D57u * c.z, high0 ^ c.w ^ k.y, 0xD2511F53u * c.x);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
