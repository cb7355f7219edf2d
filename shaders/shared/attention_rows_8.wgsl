// Own rows that a thread of attention_tiles.wgsl has: 128 multiply-adds for 12 reads of workgroup memory.
const ROWS: u32 = 8u;

