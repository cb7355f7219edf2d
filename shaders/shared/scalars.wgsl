// A kernel that treats all elements alike takes one at a time with this file, and four at a time with quads.wgsl.
const ELEMENTS: u32 = 1u;
alias Number = f32; // what is computed with
alias Stored = Real; // what lies in memory
