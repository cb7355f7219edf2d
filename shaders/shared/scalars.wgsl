// For a kernel that treats all elements alike: one at a time. quads.wgsl is the same for four.
const ELEMENTS: u32 = 1u;
alias Number = f32; // as it is computed with
alias Stored = Real; // as it lies in memory
