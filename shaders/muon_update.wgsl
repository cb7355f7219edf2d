struct MuonUpdate {
    stacked: u32,
    rows: u32,
    columns: u32,
    stride: u32,
    rate: f32,
    adjustment: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: MuonUpdate;
@group(0) @binding(1) var<storage, read> update: UpdateState;
@group(0) @binding(2) var<storage, read> optimizer: OptimizerState;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> copy: array<Real>;

// Each thread has an element of the parameter. In x tall matrices are transposed.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_number(group, groups) * 256u + lane;
    let size = params.rows * params.columns;
    if i >= params.stacked * size {
        return;
    }
    let element = i % size;
    var place = element;
    if params.rows > params.columns {
        place = element % params.columns * params.rows + element / params.columns;
    }
    var value = parameters[i];
    if optimizer.coefficient != 0.0 {
        let rate = update.learning_rate * params.rate;
        value = value * (1.0 - rate * params.weight_decay) - rate * params.adjustment * x[i / size * params.stride + place];
        parameters[i] = value;
    }
    if HAS_COPY {
        copy[i] = Real(value);
    }
}
