@group(0) @binding(1) var<storage, read> qkv: array<vec4<Real>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<Real>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [B, heads, T]

// The score of a key that a row does not attend to.
const MASKED: f32 = -1e30;
// The lowest exponent that exp is given: exp(FAR) is zero in f32.
const FAR: f32 = -120.0;

fn quad_at(gradient: bool, place: u32) -> vec4<f32> {
    return vec4<f32>(qkv[place]);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_number: u32,
) {
    let number = group_number(group, groups);
    if number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(number);
    let thread = thread_of(thread_number);
    let q = part_of(block, 0u);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let row = block.first + ROWS * thread.line;
    var most: Column;
    for (var i = 0u; i < ROWS; i++) {
        most[i] = MASKED;
    }
    var total: Column;
    var sum: Tile;
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += OTHERS) {
        let key = first + 4u * thread.column;
        var weights = products(q, block.first, k, first, thread);
        if !attends_wholly(block, first) {
            for (var i = 0u; i < ROWS; i++) {
                weights[i] = select(vec4<f32>(MASKED), weights[i], attends(block, row + i, key));
            }
        }
        let before = most;
        for (var i = 0u; i < ROWS; i++) {
            let score = weights[i];
            most[i] = max(most[i], max(max(score.x, score.y), max(score.z, score.w)));
        }
        most = max_across(most, thread);
        for (var i = 0u; i < ROWS; i++) {
            // A row that has attended to nothing so far gets weights here; its first attended key scales them to zero.
            let keep = exp(max(before[i] - most[i], FAR));
            let weight = exp(max(weights[i] - most[i], vec4<f32>(FAR)));
            weights[i] = weight;
            sum[i] *= keep;
            total[i] = total[i] * keep + ((weight.x + weight.y) + (weight.z + weight.w));
        }
        if DROPOUT {
            var bits = 0u;
            for (var i = 0u; i < ROWS; i++) {
                bits |= kept_bits(block.head * params.sequence + row + i, key) << (4u * i);
            }
            for (var i = 0u; i < ROWS; i++) {
                weights[i] *= kept_at(bits, 4u * i + vec4<u32>(0u, 1u, 2u, 3u));
            }
        }
        add_weighted(&sum, &weights, v, first, thread);
    }
    total = sum_across(total, thread);
    let lines = rows_of(block);
    for (var i = 0u; i < ROWS; i++) {
        if row + i < params.sequence {
            if thread.column < HEAD_QUADS {
                y[lines.start + (row + i) * lines.stride + thread.column] = vec4<Real>(sum[i] / total[i]);
            }
            if thread.column == 0u {
                lse[block.head * params.sequence + row + i] = most[i] + log(total[i]);
            }
        }
    }
}
