struct Dropout {
    count: u32,
    rate: f32,
    site: u32,
}

@group(0) @binding(0) var<uniform> params: Dropout;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> residual: array<Real>;
@group(0) @binding(3) var<storage, read> step: StepState;
@group(0) @binding(4) var<storage, read_write> y: array<Real>;

// Four elements a thread: one call of the generator gives four words.
@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = group_number(group, groups) * 256u + lane;
    let words = philox(vec2<u32>(step.seed_low, step.seed_high), vec4<u32>(quad, params.site, step.microbatch, 0u));
    for (var i = 0u; i < 4u; i++) {
        let at = 4u * quad + i;
        if at < params.count {
            var value = 0.0;
            if f32(words[i] >> 8u) / 16777216.0 >= params.rate {
                value = f32(x[at]) * (1.0 / (1.0 - params.rate));
            }
            if HAS_RESIDUAL {
                value += f32(residual[at]);
            }
            y[at] = Real(value);
        }
    }
}
