// embedding_backward in two passes over chunks of `order`, for widths that are multiples of four: a workgroup has the
// same work however often an id occurs. The first pass adds a run of one id within a chunk to the table. If a run crosses into
// other chunks, it writes the run's sum in each chunk to `partial`, and the second pass adds these up in order.
struct EmbeddingBackward {
    rows: u32,
    width: u32,
    entries: u32,
}

@group(0) @binding(0) var<uniform> params: EmbeddingBackward;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<vec4<Real>>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4<f32>>; // [chunk, (run at its start, run at its end), width]
@group(0) @binding(5) var<storage, read_write> d_table: array<vec4<f32>>;

const THREADS: u32 = 64u;
const NO_ID: u32 = 0xffffffffu;

fn id_at(place: u32) -> u32 {
    return ids[order[place]];
}

// Whether a place has the same id as the place before it.
fn continues(place: u32) -> bool {
    return place > 0u && id_at(place) == id_at(place - 1u);
}

// Each chunk and block of columns has a workgroup.
@compute @workgroup_size(64)
fn chunks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let width = params.width / 4u;
    let blocks = (width + THREADS - 1u) / THREADS;
    let number = group_number(group, groups);
    let chunk = number / blocks;
    let column = number % blocks * THREADS + thread;
    let first = chunk * CHUNK;
    if first >= params.rows || column >= width {
        return;
    }
    let end = min(first + CHUNK, params.rows);
    var id = id_at(first);
    var at_start = continues(first);
    var sum = vec4<f32>();
    for (var place = first; place < end; place++) {
        sum += vec4<f32>(dy[order[place] * width + column]);
        var next = NO_ID;
        if place + 1u < params.rows {
            next = id_at(place + 1u);
        }
        if next == id && place + 1u < end {
            continue;
        }
        if at_start || next == id {
            partial[(2u * chunk + u32(!at_start)) * width + column] = sum;
        } else {
            d_table[id * width + column] += sum;
        }
        at_start = false;
        sum = vec4<f32>();
        id = next;
    }
}

const COLUMNS: u32 = 32u;
const LANES: u32 = 8u;

var<workgroup> added: array<vec4<f32>, 256>; // [LANES, COLUMNS]

// Each chunk and block of columns has a workgroup. It has work only if a run begins in the chunk and goes on in the next.
@compute @workgroup_size(256)
fn runs(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let width = params.width / 4u;
    let blocks = (width + COLUMNS - 1u) / COLUMNS;
    let number = group_number(group, groups);
    let chunk = number / blocks;
    let next = (chunk + 1u) * CHUNK;
    if next >= params.rows || !continues(next) {
        return;
    }
    let id = id_at(next);
    if id_at(chunk * CHUNK) == id && continues(chunk * CHUNK) {
        return;
    }
    let column = number % blocks * COLUMNS + thread % COLUMNS;
    let lane = thread / COLUMNS;
    var sum = vec4<f32>();
    if column < width {
        if lane == 0u {
            sum = partial[(2u * chunk + 1u) * width + column];
        }
        for (var i = chunk + 1u + lane; i * CHUNK < params.rows && id_at(i * CHUNK) == id; i += LANES) {
            sum += partial[2u * i * width + column];
        }
    }
    added[thread] = sum;
    workgroupBarrier();
    if lane == 0u && column < width {
        var total = vec4<f32>();
        for (var i = 0u; i < LANES; i++) {
            total += added[i * COLUMNS + thread];
        }
        d_table[id * width + column] += total;
    }
}
