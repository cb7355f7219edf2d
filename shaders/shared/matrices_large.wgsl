// Tiles of 8×8 matrices, for a product of many tiles. Four subgroups own 4×4 matrices each: 256 threads at a SIDE of 16.
const TILE: u32 = 8u * SIDE;
const DEPTH: u32 = 32u;
const PADDING: u32 = 4u;
const WIDE: bool = true;
