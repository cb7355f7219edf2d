struct Embedding {
    rows: u32,
    width: u32,
    vocabulary: u32,
    positions: u32,
    types: u32,
}

@group(0) @binding(0) var<uniform> params: Embedding;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> types: array<u32>;
@group(0) @binding(4) var<storage, read> token_table: array<Stored>;
@group(0) @binding(5) var<storage, read> position_table: array<Stored>;
@group(0) @binding(6) var<storage, read> type_table: array<Stored>;
@group(0) @binding(7) var<storage, read_write> y: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let width = params.width / ELEMENTS;
    let i = group_number(group, groups) * 256u + lane;
    if i >= params.rows * width {
        return;
    }
    let row = i / width;
    let column = i % width;
    var sum = Number(token_table[ids[row] * width + column]);
    if HAS_POSITION_TABLE {
        sum += Number(position_table[positions[row] * width + column]);
    }
    if HAS_TYPE_TABLE {
        sum += Number(type_table[types[row] * width + column]);
    }
    y[i] = Stored(sum);
}
