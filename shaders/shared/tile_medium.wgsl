// The tile of product_blocked.wgsl for results with too few large tiles to keep a GPU busy.
const ROWS: u32 = 64u;
const COLUMNS: u32 = 64u;
const DEPTH: u32 = 16u;
const THREADS: u32 = 128u;
