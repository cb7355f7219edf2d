// matrices_small.wgsl with half the terms at a time, so that its two subgroups make up 64 threads.
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 16u;
const PADDING: u32 = 8u;
const WIDE: bool = false;
