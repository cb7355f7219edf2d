// Own rows that a thread of attention_tiles.wgsl has: half the sums of attention_rows_8.wgsl, for GPUs with few registers, and
// for the backward pass, which has two products and two sums at once.
const ROWS: u32 = 4u;

