struct MuonMomentum {
    stacked: u32,
    rows: u32,
    columns: u32,
    stride: u32,
    momentum: f32,
    rest: f32,
}

@group(0) @binding(0) var<uniform> params: MuonMomentum;
@group(0) @binding(1) var<storage, read> optimizer: OptimizerState;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> momenta: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;

// Each thread has an element of x, in which tall matrices are transposed.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = group_number(group, groups) * 256u + lane;
    if at >= params.stacked * params.stride {
        return;
    }
    let size = params.rows * params.columns;
    let element = at % params.stride;
    if element >= size {
        x[at] = 0.0;
        return;
    }
    var place = element;
    if params.rows > params.columns {
        place = element % params.rows * params.columns + element / params.rows;
    }
    let i = at / params.stride * size + place;
    var blended = 0.0;
    if optimizer.coefficient != 0.0 {
        let gradient = gradients[i] * optimizer.coefficient;
        let m = momenta[i] + params.rest * (gradient - momenta[i]);
        momenta[i] = m;
        blended = gradient + params.momentum * (m - gradient);
    }
    gradients[i] = 0.0;
    x[at] = blended;
}
