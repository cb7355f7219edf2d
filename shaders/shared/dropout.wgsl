// What dropout multiplies the elements 4·quad.. of params.site by, as src/kernels/dropout.rs has it: one call of the generator
// gives four words. The kernel has `rate` and `site` among its parameters, and the argument `step`.
fn dropout_masks(quad: u32) -> vec4<f32> {
    let words = philox(vec2<u32>(step.seed_low, step.seed_high), vec4<u32>(quad, params.site, step.microbatch, 0u));
    let uniform_numbers = vec4<f32>(words >> vec4<u32>(8u)) / 16777216.0;
    return select(vec4<f32>(1.0 / (1.0 - params.rate)), vec4<f32>(), uniform_numbers < vec4<f32>(params.rate));
}
