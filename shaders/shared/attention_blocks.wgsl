// Attention in blocks: a workgroup owns BLOCK rows of a head and loops over the other rows that any of them attends to.
const HEAD_QUADS: u32 = HEAD_DIM / 4u;

// Where the rows of a head lie in qkv or, if `gradient`, in dy: the first row and the stride between rows, in quads.
struct Lines {
    start: u32,
    stride: u32,
    gradient: bool,
}

// The work of a workgroup.
struct Block {
    head: u32, // in [B, heads]
    first: u32, // its first own row
    token: u32, // the first token of its sequence
}

fn blocks_a_head() -> u32 {
    return (params.sequence + BLOCK - 1u) / BLOCK;
}

fn block_of(number: u32) -> Block {
    let head = number / blocks_a_head();
    return Block(head, number % blocks_a_head() * BLOCK, head / params.heads * params.sequence);
}

// The rows of q, k or v for a head.
fn part_of(block: Block, part: u32) -> Lines {
    let head = part * params.batch * params.heads + block.head;
    return Lines(head * params.sequence * HEAD_QUADS, HEAD_QUADS, false);
}

// A head's columns of the rows of a [B * T, width] tensor.
fn rows_of(block: Block) -> Lines {
    let width = params.heads * HEAD_QUADS;
    return Lines(block.token * width + block.head % params.heads * HEAD_QUADS, width, true);
}

// The positions that a row attends to: the first, and one past the last.
fn range_of(block: Block, row: u32) -> vec2<u32> {
    let position = min(row, params.sequence - 1u);
    let span = spans[block.token + position];
    return vec2<u32>(max(span.x, position - min(position, params.reach)), min(span.y, position + params.reach + 1u));
}

// The rows that any own row attends to, from the start of a block. The first and the last own row decide it, since the range of
// a later row neither starts nor ends earlier.
fn others_of(block: Block) -> vec2<u32> {
    let first = range_of(block, block.first).x;
    return vec2<u32>(first / BLOCK * BLOCK, range_of(block, block.first + BLOCK - 1u).y);
}
