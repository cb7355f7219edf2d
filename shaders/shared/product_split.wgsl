// The terms of a tile are split among as many workgroups as the grid is deep, for results that are small beside their depth,
// such as the gradient of a weight. Each workgroup writes its part of the sums to `parts`, and a second pass adds the parts in
// order. The numbers of rows and columns must be multiples of four. The kernel also gives
//   parts                        for each part the sums of the result [rows, columns] and of a [rows], in quads
//   store(row, column, vec4), store_sums(row, vec4)
const TERMS: u32 = 16u;

// The range of terms of a part. Every part has the same multiple of TERMS, except the last ones.
fn terms_of(part: u32, parts: u32) -> vec2<u32> {
    let share = (size().z + parts * TERMS - 1u) / (parts * TERMS) * TERMS;
    return min(vec2<u32>(part * share, (part + 1u) * share), size().zz);
}

// The number of quads of a result, and that of a part, which includes the sums of a.
fn quads() -> vec2<u32> {
    let result = size().x * (size().y / 4u);
    return vec2<u32>(result, result + size().x / 4u);
}

fn deliver(part: u32, row: u32, column: u32, value: vec4<f32>) {
    parts[part * quads().y + row * (size().y / 4u) + column / 4u] = value;
}

fn deliver_sums(part: u32, row: u32, value: vec4<f32>) {
    parts[part * quads().y + quads().x + row / 4u] = value;
}

// The grid is as deep as that of the first pass, but here depth has no meaning: a workgroup's number says which quads it adds
// up.
@compute @workgroup_size(256)
fn total(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let quads = quads();
    let quad = 256u * (group.z * groups.x + group.x) + thread;
    if quad >= select(quads.x, quads.y, HAS_SUMS) {
        return;
    }
    var value = parts[quad];
    for (var part = 1u; part < groups.z; part++) {
        value += parts[part * quads.y + quad];
    }
    if quad < quads.x {
        store(quad / (size().y / 4u), 4u * (quad % (size().y / 4u)), value);
    } else {
        store_sums(4u * (quad - quads.x), value);
    }
}

