struct ColumnSum {
    rows: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: ColumnSum;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>; // [row group, width]
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn partial_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let strips = (params.width + 63u) / 64u;
    let number = group_number(group, groups);
    let part = number / strips;
    let column = (number % strips) * 64u + lane;
    let first = part * ROWS_A_GROUP;
    if first >= params.rows || column >= params.width {
        return;
    }
    var sum = 0.0;
    for (var row = first; row < min(first + ROWS_A_GROUP, params.rows); row++) {
        sum += f32(x[row * params.width + column]);
    }
    partial[part * params.width + column] = sum;
}

@compute @workgroup_size(64)
fn total(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group_number(group, groups) * 64u + lane;
    if column >= params.width {
        return;
    }
    var sum = 0.0;
    for (var part = 0u; part < (params.rows + ROWS_A_GROUP - 1u) / ROWS_A_GROUP; part++) {
        sum += partial[part * params.width + column];
    }
    sums[column] += sum;
}
