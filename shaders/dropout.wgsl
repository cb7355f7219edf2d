struct Dropout {
    rows: u32,
    width: u32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: Dropout;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> step: StepState;
@group(0) @binding(3) var<storage, read_write> y: array<Real>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = group_number(group, groups) * 256u + lane;
    let origin = dropout_origin(params.width);
    let masks = masks_of_quad(params.rate, origin, quad);
    for (var i = 0u; i < 4u; i++) {
        // Before the first element this wraps around to a large number, which fails the check below.
        let at = 4u * quad + i - origin.skipped;
        if at < params.rows * params.width {
            y[at] = Real(f32(x[at]) * masks[i]);
        }
    }
}
