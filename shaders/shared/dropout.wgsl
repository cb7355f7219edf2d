// Dropout as src/kernels/dropout.rs has it: one call of the generator gives the numbers of eight elements, an octet, of 16 bits
// each. The kernel has `site` among its parameters, and the argument `step`.
const DROPOUT_STEPS: u32 = 65536u;

// The numbers of an octet, whose own number has its low word first: of the first four elements in the low halves, of the last
// four in the high ones.
fn dropout_words(octet: vec2<u32>) -> vec4<u32> {
    return philox(vec2<u32>(step.seed_low, step.seed_high), vec4<u32>(octet.x, params.site, step.number, octet.y));
}

// How many of the numbers drop an element.
fn dropping(rate: f32) -> u32 {
    return min(u32(rate * f32(DROPOUT_STEPS) + 0.5), DROPOUT_STEPS - 1u);
}

// What the elements that stay are multiplied by.
fn dropout_scale(rate: f32) -> f32 {
    return f32(DROPOUT_STEPS) / f32(DROPOUT_STEPS - dropping(rate));
}

// What the first four (half 0) or the last four elements of an octet are multiplied by.
fn masks_of_half(rate: f32, words: vec4<u32>, half: u32) -> vec4<f32> {
    let numbers = (words >> vec4<u32>(16u * half)) & vec4<u32>(DROPOUT_STEPS - 1u);
    return select(vec4<f32>(dropout_scale(rate)), vec4<f32>(), numbers < vec4<u32>(dropping(rate)));
}
