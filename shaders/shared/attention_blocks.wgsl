// Attention by blocks: a workgroup has BLOCK rows of a head and goes through the other rows that any of them attends to.
const HEAD_QUADS: u32 = HEAD_DIM / 4u;

// A row of a head and the next: quads from the first element of one to that of the other, in qkv or in dy.
struct Lines {
    start: u32,
    stride: u32,
    gradient: bool,
}

// The work of a workgroup.
struct Block {
    head: u32, // in [B, heads]
    first: u32, // own row
    token: u32, // of its sequence's first row
}

fn blocks_a_head() -> u32 {
    return (params.sequence + BLOCK - 1u) / BLOCK;
}

fn block_of(number: u32) -> Block {
    let head = number / blocks_a_head();
    return Block(head, number % blocks_a_head() * BLOCK, head / params.heads * params.sequence);
}

// q, k or v of a head.
fn part_of(block: Block, part: u32) -> Lines {
    let head = part * params.batch * params.heads + block.head;
    return Lines(head * params.sequence * HEAD_QUADS, HEAD_QUADS, false);
}

// A head's share of rows as wide as the model.
fn rows_of(block: Block) -> Lines {
    let width = params.heads * HEAD_QUADS;
    return Lines(block.token * width + block.head % params.heads * HEAD_QUADS, width, true);
}

// What a row attends to: from, and up to.
fn range_of(block: Block, row: u32) -> vec2<u32> {
    let position = min(row, params.sequence - 1u);
    let span = spans[block.token + position];
    return vec2<u32>(max(span.x, position - min(position, params.reach)), min(span.y, position + params.reach + 1u));
}

// The blocks that any of the own rows attends to: ranges of later rows neither start nor end earlier.
fn others_of(block: Block) -> vec2<u32> {
    let first = range_of(block, block.first).x;
    return vec2<u32>(first / BLOCK * BLOCK, range_of(block, block.first + BLOCK - 1u).y);
}
