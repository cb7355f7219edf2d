struct EmbeddingBackward {
    rows: u32,
    width: u32,
    entries: u32,
}

@group(0) @binding(0) var<uniform> params: EmbeddingBackward;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<Real>;
@group(0) @binding(5) var<storage, read_write> d_table: array<f32>;

const COLUMNS: u32 = 32u;
const LANES: u32 = 8u;

var<workgroup> added: array<f32, 256>; // [LANES, COLUMNS]

// Each place of `order` and block of columns has a workgroup; only the first place of an id's run has work.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let blocks = (params.width + COLUMNS - 1u) / COLUMNS;
    let number = group_number(group, groups);
    let place = number / blocks;
    if place >= params.rows {
        return;
    }
    let id = ids[order[place]];
    if place > 0u && ids[order[place - 1u]] == id {
        return;
    }
    let column = (number % blocks) * COLUMNS + thread % COLUMNS;
    let lane = thread / COLUMNS;
    var sum = 0.0;
    for (var i = place + lane; i < params.rows; i += LANES) {
        let row = order[i];
        if ids[row] != id {
            break;
        }
        if column < params.width {
            sum += f32(dy[row * params.width + column]);
        }
    }
    added[thread] = sum;
    workgroupBarrier();
    if lane == 0u && column < params.width {
        var total = 0.0;
        for (var i = 0u; i < LANES; i++) {
            total += added[i * COLUMNS + thread];
        }
        d_table[id * params.width + column] += total;
    }
}
