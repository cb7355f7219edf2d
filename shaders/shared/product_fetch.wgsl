// How a workgroup of THREADS brings the next DEPTH terms of a ROWS×COLUMNS tile to workgroup memory: half of it a, half of
// it b, four quads a thread, which are held in registers from the fetch until the memory is free. The kernel gives
//   size()                               rows, columns and depth of the product
//   quad_a(row, depth), quad_b(depth, column)
//                                        four elements from there on, along depth where A_BY_DEPTH (B_BY_DEPTH), else along
//                                        rows (columns), in which the size is a multiple of four
const ROW_QUADS: u32 = ROWS / 4u;
const COLUMN_QUADS: u32 = COLUMNS / 4u;
const DEPTH_QUADS: u32 = DEPTH / 4u;
const HALF: u32 = THREADS / 2u;
// Depths between the quads of a thread whose operand has lines adjacent.
const STEP_A: u32 = HALF / ROW_QUADS;
const STEP_B: u32 = HALF / COLUMN_QUADS;
// Row tiles that are gone through together, so that what they share stays in cache.
const BAND: u32 = 8u;

var<workgroup> tile_a: array<vec4<f32>, DEPTH * ROW_QUADS>;
var<workgroup> tile_b: array<vec4<f32>, DEPTH * COLUMN_QUADS>;

// What a thread has fetched of the next terms: four lines, of a or of b.
var<private> next0: vec4<f32>;
var<private> next1: vec4<f32>;
var<private> next2: vec4<f32>;
var<private> next3: vec4<f32>;

// The quad of lines and the quad of depths of a thread of the half that loads an operand by depth: eight neighbours write
// eight quads of a depth, and read 64 bytes of four lines.
fn block_of(thread: u32) -> vec2<u32> {
    return vec2<u32>(thread % 8u + thread / (8u * DEPTH_QUADS) * 8u, (thread / 8u) % DEPTH_QUADS);
}

// Past an edge a line repeats the last one, which is not stored; terms past the depth are zero.
fn fetch_a(thread: u32, start: u32, depth: u32) {
    let most = (size() - 1u) / 4u * 4u;
    if A_BY_DEPTH {
        let block = block_of(thread);
        let row = start + 4u * block.x;
        let at = depth + 4u * block.y;
        let last = size().x - 1u;
        let within = at < size().z;
        next0 = select(vec4<f32>(), quad_a(min(row, last), min(at, most.z)), within);
        next1 = select(vec4<f32>(), quad_a(min(row + 1u, last), min(at, most.z)), within);
        next2 = select(vec4<f32>(), quad_a(min(row + 2u, last), min(at, most.z)), within);
        next3 = select(vec4<f32>(), quad_a(min(row + 3u, last), min(at, most.z)), within);
    } else {
        let row = min(start + 4u * (thread % ROW_QUADS), most.x);
        let at = depth + thread / ROW_QUADS;
        let last = size().z - 1u;
        next0 = select(vec4<f32>(), quad_a(row, min(at, last)), at <= last);
        next1 = select(vec4<f32>(), quad_a(row, min(at + STEP_A, last)), at + STEP_A <= last);
        next2 = select(vec4<f32>(), quad_a(row, min(at + 2u * STEP_A, last)), at + 2u * STEP_A <= last);
        next3 = select(vec4<f32>(), quad_a(row, min(at + 3u * STEP_A, last)), at + 3u * STEP_A <= last);
    }
}

fn fetch_b(thread: u32, start: u32, depth: u32) {
    let most = (size() - 1u) / 4u * 4u;
    if B_BY_DEPTH {
        let block = block_of(thread);
        let column = start + 4u * block.x;
        let at = depth + 4u * block.y;
        let last = size().y - 1u;
        let within = at < size().z;
        next0 = select(vec4<f32>(), quad_b(min(at, most.z), min(column, last)), within);
        next1 = select(vec4<f32>(), quad_b(min(at, most.z), min(column + 1u, last)), within);
        next2 = select(vec4<f32>(), quad_b(min(at, most.z), min(column + 2u, last)), within);
        next3 = select(vec4<f32>(), quad_b(min(at, most.z), min(column + 3u, last)), within);
    } else {
        let column = min(start + 4u * (thread % COLUMN_QUADS), most.y);
        let at = depth + thread / COLUMN_QUADS;
        let last = size().z - 1u;
        next0 = select(vec4<f32>(), quad_b(min(at, last), column), at <= last);
        next1 = select(vec4<f32>(), quad_b(min(at + STEP_B, last), column), at + STEP_B <= last);
        next2 = select(vec4<f32>(), quad_b(min(at + 2u * STEP_B, last), column), at + 2u * STEP_B <= last);
        next3 = select(vec4<f32>(), quad_b(min(at + 3u * STEP_B, last), column), at + 3u * STEP_B <= last);
    }
}

// What was fetched to workgroup memory, where quads of lines lie by depth: lines along depth are transposed.
fn keep_a(thread: u32) {
    if A_BY_DEPTH {
        let block = block_of(thread);
        let at = 4u * block.y * ROW_QUADS + block.x;
        tile_a[at] = vec4<f32>(next0.x, next1.x, next2.x, next3.x);
        tile_a[at + ROW_QUADS] = vec4<f32>(next0.y, next1.y, next2.y, next3.y);
        tile_a[at + 2u * ROW_QUADS] = vec4<f32>(next0.z, next1.z, next2.z, next3.z);
        tile_a[at + 3u * ROW_QUADS] = vec4<f32>(next0.w, next1.w, next2.w, next3.w);
    } else {
        tile_a[thread] = next0;
        tile_a[thread + HALF] = next1;
        tile_a[thread + 2u * HALF] = next2;
        tile_a[thread + 3u * HALF] = next3;
    }
}

fn keep_b(thread: u32) {
    if B_BY_DEPTH {
        let block = block_of(thread);
        let at = 4u * block.y * COLUMN_QUADS + block.x;
        tile_b[at] = vec4<f32>(next0.x, next1.x, next2.x, next3.x);
        tile_b[at + COLUMN_QUADS] = vec4<f32>(next0.y, next1.y, next2.y, next3.y);
        tile_b[at + 2u * COLUMN_QUADS] = vec4<f32>(next0.z, next1.z, next2.z, next3.z);
        tile_b[at + 3u * COLUMN_QUADS] = vec4<f32>(next0.w, next1.w, next2.w, next3.w);
    } else {
        tile_b[thread] = next0;
        tile_b[thread + HALF] = next1;
        tile_b[thread + 2u * HALF] = next2;
        tile_b[thread + 3u * HALF] = next3;
    }
}

fn fetch(thread: u32, row: u32, column: u32, depth: u32) {
    if thread < HALF {
        fetch_a(thread, row, depth);
    } else {
        fetch_b(thread - HALF, column, depth);
    }
}

fn keep(thread: u32) {
    if thread < HALF {
        keep_a(thread);
    } else {
        keep_b(thread - HALF);
    }
}

// The row tile and the column tile of a workgroup: down a band of row tiles that stay in cache, then on to the next column.
fn tile_of(group: vec3<u32>, groups: vec3<u32>) -> vec2<u32> {
    let number = group.y * groups.x + group.x;
    let first = number / (BAND * groups.x) * BAND;
    let band = min(BAND, groups.y - first);
    let within = number % (BAND * groups.x);
    return vec2<u32>(first + within % band, within / band);
}
