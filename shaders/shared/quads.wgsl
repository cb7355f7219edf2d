// scalars.wgsl for sizes that are multiples of four, so that a thread loads and stores 16 bytes, or 8 in f16.
const ELEMENTS: u32 = 4u;
alias Number = vec4<f32>;
alias Stored = vec4<Real>;
