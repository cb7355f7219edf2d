struct Rows {
    rows: u32,
    selected: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Rows;
@group(0) @binding(1) var<storage, read> dy: array<Stored>;
@group(0) @binding(2) var<storage, read> inverse: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

const NONE: u32 = 0xffffffffu;

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
    let place = inverse[i / width];
    if place == NONE {
        dx[i] = Stored();
    } else {
        dx[i] = dy[place * width + i % width];
    }
}
