struct Rows {
    rows: u32,
    selected: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Rows;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> selected: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let width = params.width / ELEMENTS;
    let i = group_number(group, groups) * 256u + lane;
    if i < params.selected * width {
        y[i] = x[selected[i / width] * width + i % width];
    }
}
