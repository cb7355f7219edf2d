@group(0) @binding(1) var<storage, read> qkv: array<vec4<f16>>; // [3, B, heads, T, head_dim]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [B, heads, T]

fn quad_at(gradient: bool, place: u32) -> vec4<f16> {
    return qkv[place];
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) number: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let block_number = group_number(group, groups);
    if block_number >= params.batch * params.heads * blocks_a_head() {
        return;
    }
    let block = block_of(block_number);
    let k = part_of(block, 1u);
    let v = part_of(block, 2u);
    let thread = Thread(number, subgroup, subgroups);
    let place = place_of(thread, BLOCK);
    let row = block.first + place.row;
    let range = range_of(block, row);
    let query = block.head * params.sequence + row;
    var most = -1e30;
    var total = 0.0;
    var output: Output;
    load(thread, OWN, part_of(block, 0u), block.first);
    let others = others_of(block);
    for (var first = others.x; first < others.y; first += OTHERS) {
        load(thread, OTHER, k, first);
        var scores = products(thread, OWN, OTHER);
        load(thread, OTHER, v, first);
        var largest = most;
        for (var i = 0u; i < QUADS; i++) {
            let inside = attends(range, first + 4u * quad_of(place, i));
            let among = select(vec4<f32>(most), scores[i], inside);
            largest = max(largest, max(max(among.x, among.y), max(among.z, among.w)));
        }
        largest = max_across(thread, place, largest);
        let keep = exp(max(most - largest, -87.0));
        most = largest;
        total *= keep;
        for (var i = 0u; i < QUADS; i++) {
            let key = first + 4u * quad_of(place, i);
            var weight = exp(max(scores[i] - most, vec4<f32>(-87.0)));
            weight = select(vec4<f32>(), weight, attends(range, key));
            total += dot(weight, vec4<f32>(1.0));
            if DROPOUT {
                weight *= kept(query, key);
            }
            keep_weights(place.row, quad_of(place, i), weight);
        }
        add_weighted(thread, keep, &output);
    }
    total = sum_across(thread, place, total);
    if row < params.sequence {
        store(rows_of(block), row, place, &output, total);
        if place.quad == 0u {
            lse[query] = most + log(total);
        }
    }
}

fn store(lines: Lines, row: u32, place: Place, output: ptr<function, Output>, total: f32) {
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        for (var i = 0u; i < QUADS; i++) {
            let quad = 8u * chunk + quad_of(place, i);
            if quad < HEAD_QUADS {
                y[lines.start + row * lines.stride + quad] = vec4<f16>((*output)[chunk][i] / total);
            }
        }
    }
}
