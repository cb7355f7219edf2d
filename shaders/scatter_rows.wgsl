struct Rows {
    rows: u32,
    picked: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Rows;
@group(0) @binding(1) var<storage, read> dy: array<Stored>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

const NO_SLOT: u32 = 0xffffffffu;

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
    let slot = slots[i / width];
    if slot == NO_SLOT {
        dx[i] = Stored();
    } else {
        dx[i] = dy[slot * width + i % width];
    }
}
