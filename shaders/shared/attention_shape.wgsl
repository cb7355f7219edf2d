struct Attention {
    batch: u32,
    heads: u32,
    sequence: u32,
    head_dim: u32,
    reach: u32,
    dropout: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: Attention;
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>; // [B, T]
@group(0) @binding(3) var<storage, read> step: StepState;

// Dropout's random numbers for eight weights of a query. `query` counts in [B, heads, T] of the microbatch; `first_row` makes
// that a place in the whole batch.
fn words_of_query(query: u32, octet: u32) -> vec4<u32> {
    return dropout_words(vec2<u32>(octet, step.first_row * params.heads + query));
}

// Dropout's factors for the weights of a query and a quad of keys.
fn masks_of_query(query: u32, quad: u32) -> vec4<f32> {
    return masks_of_half(params.dropout, words_of_query(query, quad / 2u), quad % 2u);
}

