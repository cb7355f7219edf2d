struct AdamW {
    count: u32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: AdamW;
@group(0) @binding(1) var<storage, read> update: UpdateState;
@group(0) @binding(2) var<storage, read> optimizer: OptimizerState;
@group(0) @binding(3) var<storage, read_write> parameters: array<Number>;
@group(0) @binding(4) var<storage, read_write> gradients: array<Number>;
@group(0) @binding(5) var<storage, read_write> first_moments: array<Number>;
@group(0) @binding(6) var<storage, read_write> second_moments: array<Number>;
@group(0) @binding(7) var<storage, read_write> copy: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_number(group, groups) * 256u + lane;
    if i >= params.count / ELEMENTS {
        return;
    }
    var value = parameters[i];
    if optimizer.coefficient != 0.0 {
        let gradient = gradients[i] * optimizer.coefficient;
        let m = params.beta1 * first_moments[i] + params.rest1 * gradient;
        let v = params.beta2 * second_moments[i] + params.rest2 * gradient * gradient;
        let keep = 1.0 - update.learning_rate * params.weight_decay;
        let rate = update.learning_rate / optimizer.correction1;
        value = value * keep - rate * m / (sqrt(v) / sqrt(optimizer.correction2) + params.epsilon);
        parameters[i] = value;
        first_moments[i] = m;
        second_moments[i] = v;
    }
    gradients[i] = Number();
    if HAS_COPY {
        copy[i] = Stored(value);
    }
}
