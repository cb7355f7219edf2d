// The tile of product_blocked.wgsl that does the most products for each element it loads.
const ROWS: u32 = 128u;
const COLUMNS: u32 = 128u;
const DEPTH: u32 = 16u;
const THREADS: u32 = 256u;
