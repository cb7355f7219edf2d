// Dropout as in src/kernels/dropout.rs: one call of the generator gives 16-bit numbers for eight elements, an octet. The kernel
// has `site` among its parameters, and the argument `step`.
const DROPOUT_STEPS: u32 = 65536u;

// The random numbers of an octet, given its index with the low word first. The low halves belong to its first four elements,
// the high halves to its last four.
fn dropout_words(octet: vec2<u32>) -> vec4<u32> {
    return philox(vec2<u32>(step.seed_low, step.seed_high), vec4<u32>(octet.x, params.site, step.number, octet.y));
}

// How many of the DROPOUT_STEPS possible numbers drop an element.
fn dropping(rate: f32) -> u32 {
    return min(u32(rate * f32(DROPOUT_STEPS) + 0.5), DROPOUT_STEPS - 1u);
}

// The factor for elements that are kept.
fn dropout_scale(rate: f32) -> f32 {
    return f32(DROPOUT_STEPS) / f32(DROPOUT_STEPS - dropping(rate));
}

// The factors for the first four (half 0) or the last four (half 1) elements of an octet.
fn masks_of_half(rate: f32, words: vec4<u32>, half: u32) -> vec4<f32> {
    let numbers = (words >> vec4<u32>(16u * half)) & vec4<u32>(DROPOUT_STEPS - 1u);
    return select(vec4<f32>(dropout_scale(rate)), vec4<f32>(), numbers < vec4<u32>(dropping(rate)));
}
