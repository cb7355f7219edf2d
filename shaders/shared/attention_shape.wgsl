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

