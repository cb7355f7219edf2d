// Tiles of 4×4 matrices, for a product of few tiles. Two subgroups own 4×2 matrices each: 128 threads at a SIDE of 16.
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 32u;
const PADDING: u32 = 4u;
const WIDE: bool = false;
