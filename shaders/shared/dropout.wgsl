// What dropout of params.site multiplies elements 4·quad.. of a row by, as src/kernels/dropout.rs has it: one call of the
// generator gives four words. Activations are one row, row 0; attention's weights have a row for each query. The kernel has
// `site` among its parameters, and the argument `step`.
fn dropout_masks(rate: f32, row: u32, quad: u32) -> vec4<f32> {
    let words = philox(vec2<u32>(step.seed_low, step.seed_high), vec4<u32>(quad, params.site, step.microbatch, row));
    let uniform_numbers = vec4<f32>(words >> vec4<u32>(8u)) / 16777216.0;
    return select(vec4<f32>(1.0 / (1.0 - rate)), vec4<f32>(), uniform_numbers < vec4<f32>(rate));
}
