@group(0) @binding(1) var<storage, read> qkv: array<Real>; // [3, B, heads, T, head_dim]

// A row of a head: its number in [B, heads, T], where it lies, and the positions it attends to.
struct Row {
    number: u32,
    position: u32,
    first: u32,
    end: u32,
    sequence: u32, // start of its head in q
    output: u32, // start of its head's elements in a [B * T, width] tensor
}

fn row_of(number: u32) -> Row {
    let position = number % params.sequence;
    let head = (number / params.sequence) % params.heads;
    let token = number / (params.sequence * params.heads) * params.sequence + position;
    let span = spans[token];
    var row: Row;
    row.number = number;
    row.position = position;
    row.first = max(span.x, position - min(position, params.reach));
    row.end = min(span.y, position + params.reach + 1u);
    row.sequence = (number - position) * HEAD_DIM;
    row.output = (token * params.heads + head) * HEAD_DIM;
    return row;
}

// Elements of one of the three parts of qkv.
fn part_size() -> u32 {
    return params.batch * params.heads * params.sequence * HEAD_DIM;
}

// The factor that dropout applies to the attention weight of a query and a key.
fn dropout_mask(query: u32, key: u32) -> f32 {
    if !DROPOUT {
        return 1.0;
    }
    let masks = masks_of_query(query, key / 4u);
    return masks[key % 4u];
}
