// matrices_large.wgsl with half the terms at a time, so that its four subgroups make up 128 threads.
const TILE: u32 = 8u * SIDE;
const DEPTH: u32 = 16u;
const PADDING: u32 = 8u;
const WIDE: bool = true;
