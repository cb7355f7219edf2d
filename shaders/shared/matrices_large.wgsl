// Tiles of 8×8 matrices, of which four subgroups own 4×4 each, for a product of many tiles: 256 threads at a side of 16.
const TILE: u32 = 8u * SIDE;
const DEPTH: u32 = 32u;
const PADDING: u32 = 4u;
const WIDE: bool = true;
