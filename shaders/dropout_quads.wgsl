// dropout for widths that are multiples of four.
struct Dropout {
    rows: u32,
    width: u32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: Dropout;
@group(0) @binding(1) var<storage, read> x: array<vec4<Real>>;
@group(0) @binding(2) var<storage, read> step: StepState;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Real>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = group_number(group, groups) * 256u + lane;
    if quad < params.rows * params.width / 4u {
        let origin = dropout_origin(params.width);
        let masks = masks_of_quad(params.rate, origin, quad + origin.skipped / 4u);
        y[quad] = vec4<Real>(vec4<f32>(x[quad]) * masks);
    }
}
