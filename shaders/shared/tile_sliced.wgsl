// The tile of product_sliced.wgsl: small, and deep.
const ROWS: u32 = 32u;
const COLUMNS: u32 = 32u;
const DEPTH: u32 = 64u;
const THREADS: u32 = 256u;
