@group(0) @binding(4) var<storage, read_write> y: array<Real>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [B, heads, T]

// Each thread has a query row and uses the online softmax of Milakov and Gimelshein (2018).
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group_number(group, groups) * 64u + lane;
    if number >= params.batch * params.heads * params.sequence {
        return;
    }
    let row = row_of(number);
    var query: array<f32, HEAD_DIM>;
    var sum: array<f32, HEAD_DIM>;
    for (var d = 0u; d < HEAD_DIM; d++) {
        query[d] = f32(qkv[row.sequence + row.position * HEAD_DIM + d]);
        sum[d] = 0.0;
    }
    var most = -1e30;
    var total = 0.0;
    for (var key = row.first; key < row.end; key++) {
        let at = row.sequence + key * HEAD_DIM;
        var score = 0.0;
        for (var d = 0u; d < HEAD_DIM; d++) {
            score += query[d] * f32(qkv[part_size() + at + d]);
        }
        let new_most = max(most, score);
        let keep = exp(max(most - new_most, -87.0));
        let weight = exp(max(score - new_most, -87.0));
        let value_weight = weight * dropout_mask(number, key);
        total = total * keep + weight;
        for (var d = 0u; d < HEAD_DIM; d++) {
            sum[d] = sum[d] * keep + value_weight * f32(qkv[2u * part_size() + at + d]);
        }
        most = new_most;
    }
    for (var d = 0u; d < HEAD_DIM; d++) {
        y[row.output + d] = Real(sum[d] / total);
    }
    lse[number] = most + log(total);
}
