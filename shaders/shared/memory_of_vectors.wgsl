// Workgroup memory of attention on matrices, as vectors of four, so that drivers load 16 bytes of a matrix's row at a time.
// Indices count quads: four elements of f16 in `halves`, of f32 in `sums`.
const ENTRIES: u32 = 1u; // array entries per quad

var<workgroup> halves: array<vec4<f16>, HALVES>;
var<workgroup> sums: array<vec4<f32>, SUMS>;

fn put(at: u32, value: vec4<f16>) {
    halves[at] = value;
}

fn put_sum(at: u32, value: vec4<f32>) {
    sums[at] = value;
}

fn sum_at(at: u32) -> vec4<f32> {
    return sums[at];
}
