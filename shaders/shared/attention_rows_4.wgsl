// Own rows per thread in attention_tiles.wgsl: half as many sums as attention_rows_8.wgsl, for GPUs with few registers and for
// the backward pass, which holds two products and two sums at once.
const ROWS: u32 = 4u;

