// Own rows per thread in attention_tiles.wgsl: 128 multiply-adds for 12 reads of workgroup memory.
const ROWS: u32 = 8u;

