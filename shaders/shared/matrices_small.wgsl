// Tiles of 4×4 matrices, of which two subgroups own 4×2 each, for a product of few tiles: 128 threads at a side of 16.
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 32u;
const PADDING: u32 = 4u;
const WIDE: bool = false;
