// Workgroup memory of attention on matrices, as scalars: Metal loads matrices from nothing else. Indices still count quads, as
// in memory_of_vectors.wgsl.
const ENTRIES: u32 = 4u; // array entries per quad

var<workgroup> halves: array<f16, 4u * HALVES>;
var<workgroup> sums: array<f32, 4u * SUMS>;

fn put(at: u32, value: vec4<f16>) {
    halves[4u * at] = value.x;
    halves[4u * at + 1u] = value.y;
    halves[4u * at + 2u] = value.z;
    halves[4u * at + 3u] = value.w;
}

fn put_sum(at: u32, value: vec4<f32>) {
    sums[4u * at] = value.x;
    sums[4u * at + 1u] = value.y;
    sums[4u * at + 2u] = value.z;
    sums[4u * at + 3u] = value.w;
}

fn sum_at(at: u32) -> vec4<f32> {
    return vec4<f32>(sums[4u * at], sums[4u * at + 1u], sums[4u * at + 2u], sums[4u * at + 3u]);
}
