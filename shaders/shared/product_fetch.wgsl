// How a workgroup of THREADS brings the next DEPTH terms of a ROWS×COLUMNS tile to workgroup memory: each thread two quads of a
// and two of b, which stay in registers as they were loaded until that memory is free. No load waits for a condition: past an
// edge it repeats the last line, or the last terms. The kernel gives
//   size()                       rows, columns and depth of the product
//   line_a(row), line_b(column)  where a line begins, or four lines that lie side by side
//   quad_a(line, depth), quad_b(line, depth)
//                                four terms of a line where A_BY_DEPTH (B_BY_DEPTH), else a term of four lines; the size along
//                                them is a multiple of four
//   HAS_SUMS                     whether the sums of a over depth are wanted as well, which then lies by lines
const ROW_QUADS: u32 = ROWS / 4u;
const COLUMN_QUADS: u32 = COLUMNS / 4u;
const DEPTH_QUADS: u32 = DEPTH / 4u;
// Row tiles that are gone through together, so that what they share stays in cache.
const BAND: u32 = 8u;

// Pairs, since a thread has two lines along depth, and may write no part of a vector.
var<workgroup> tile_a: array<vec2<f32>, DEPTH * ROWS / 2u>; // [DEPTH, ROWS / 2]
var<workgroup> tile_b: array<vec2<f32>, DEPTH * COLUMNS / 2u>; // [DEPTH, COLUMNS / 2]

// Of an operand along depth, where the two lines of a thread begin; else where its quad lies at the depth that it begins with, and
// at the last one.
var<private> lines_a: vec2<u32>;
var<private> lines_b: vec2<u32>;
// What it has fetched.
var<private> next_a0: vec4<Real>;
var<private> next_a1: vec4<Real>;
var<private> next_b0: vec4<Real>;
var<private> next_b1: vec4<Real>;
// The sums over depth of what it has fetched of a.
var<private> sum_a: vec4<f32>;

// Of an operand along depth, the pair of lines and the quad of depths that a thread loads: eight neighbours write 64 bytes of a
// depth, and DEPTH_QUADS times as many threads read eight pairs of lines.
fn block_of(thread: u32) -> vec2<u32> {
    return vec2<u32>(thread % 8u + thread / (8u * DEPTH_QUADS) * 8u, thread / 8u % DEPTH_QUADS);
}

// Has to come before the first fetch.
fn find_lines(thread: u32, row: u32, column: u32) {
    let last = size() - 1u;
    if A_BY_DEPTH {
        let line = row + 2u * block_of(thread).x;
        lines_a = vec2<u32>(line_a(min(line, last.x)), line_a(min(line + 1u, last.x)));
    } else {
        let line = line_a(min(row + 4u * (thread % ROW_QUADS), last.x - 3u));
        lines_a = line + vec2<u32>(thread / ROW_QUADS, last.z) * (size().x / 4u);
    }
    if B_BY_DEPTH {
        let line = column + 2u * block_of(thread).x;
        lines_b = vec2<u32>(line_b(min(line, last.y)), line_b(min(line + 1u, last.y)));
    } else {
        let line = line_b(min(column + 4u * (thread % COLUMN_QUADS), last.y - 3u));
        lines_b = line + vec2<u32>(thread / COLUMN_QUADS, last.z) * (size().y / 4u);
    }
}

fn fetch(thread: u32, depth: u32) {
    let last = size().z - 4u;
    if A_BY_DEPTH {
        let at = min(depth + 4u * block_of(thread).y, last);
        next_a0 = quad_a(lines_a.x, at);
        next_a1 = quad_a(lines_a.y, at);
    } else {
        let step = size().x / 4u;
        next_a0 = quad_a(min(lines_a.x + depth * step, lines_a.y), 0u);
        next_a1 = quad_a(min(lines_a.x + (depth + THREADS / ROW_QUADS) * step, lines_a.y), 0u);
    }
    if B_BY_DEPTH {
        let at = min(depth + 4u * block_of(thread).y, last);
        next_b0 = quad_b(lines_b.x, at);
        next_b1 = quad_b(lines_b.y, at);
    } else {
        let step = size().y / 4u;
        next_b0 = quad_b(min(lines_b.x + depth * step, lines_b.y), 0u);
        next_b1 = quad_b(min(lines_b.x + (depth + THREADS / COLUMN_QUADS) * step, lines_b.y), 0u);
    }
}

// What was fetched from `depth` on goes to workgroup memory, of a with zeros from `end` on, so that what b has there counts for
// nothing.
fn keep(thread: u32, depth: u32, end: u32) {
    if A_BY_DEPTH {
        let block = block_of(thread);
        let within = depth + 4u * block.y < end;
        let line0 = select(vec4<f32>(), vec4<f32>(next_a0), within);
        let line1 = select(vec4<f32>(), vec4<f32>(next_a1), within);
        let at = 2u * block.y * ROWS + block.x;
        tile_a[at] = vec2<f32>(line0.x, line1.x);
        tile_a[at + ROWS / 2u] = vec2<f32>(line0.y, line1.y);
        tile_a[at + ROWS] = vec2<f32>(line0.z, line1.z);
        tile_a[at + ROWS / 2u * 3u] = vec2<f32>(line0.w, line1.w);
    } else {
        let at = depth + thread / ROW_QUADS;
        let term0 = select(vec4<f32>(), vec4<f32>(next_a0), at < end);
        let term1 = select(vec4<f32>(), vec4<f32>(next_a1), at + THREADS / ROW_QUADS < end);
        tile_a[2u * thread] = term0.xy;
        tile_a[2u * thread + 1u] = term0.zw;
        tile_a[2u * (thread + THREADS)] = term1.xy;
        tile_a[2u * (thread + THREADS) + 1u] = term1.zw;
        // In every column of tiles, though the first alone delivers them: a condition would cost more.
        if HAS_SUMS {
            sum_a += term0 + term1;
        }
    }
    if B_BY_DEPTH {
        let block = block_of(thread);
        let line0 = vec4<f32>(next_b0);
        let line1 = vec4<f32>(next_b1);
        let at = 2u * block.y * COLUMNS + block.x;
        tile_b[at] = vec2<f32>(line0.x, line1.x);
        tile_b[at + COLUMNS / 2u] = vec2<f32>(line0.y, line1.y);
        tile_b[at + COLUMNS] = vec2<f32>(line0.z, line1.z);
        tile_b[at + COLUMNS / 2u * 3u] = vec2<f32>(line0.w, line1.w);
    } else {
        let term0 = vec4<f32>(next_b0);
        let term1 = vec4<f32>(next_b1);
        tile_b[2u * thread] = term0.xy;
        tile_b[2u * thread + 1u] = term0.zw;
        tile_b[2u * (thread + THREADS)] = term1.xy;
        tile_b[2u * (thread + THREADS) + 1u] = term1.zw;
    }
}

// Four rows of a tile at a depth of it.
fn rows_at(depth: u32, quad: u32) -> vec4<f32> {
    let at = depth * (ROWS / 2u) + 2u * quad;
    return vec4<f32>(tile_a[at], tile_a[at + 1u]);
}

// Four columns of a tile at a depth of it.
fn columns_at(depth: u32, quad: u32) -> vec4<f32> {
    let at = depth * (COLUMNS / 2u) + 2u * quad;
    return vec4<f32>(tile_b[at], tile_b[at + 1u]);
}

// The row tile and the column tile of a workgroup: down a band of row tiles that stay in cache, then on to the next column.
fn tile_of(group: vec3<u32>, groups: vec3<u32>) -> vec2<u32> {
    let number = group.y * groups.x + group.x;
    let first = number / (BAND * groups.x) * BAND;
    let band = min(BAND, groups.y - first);
    let within = number % (BAND * groups.x);
    return vec2<u32>(first + within % band, within / band);
}

// Once the memory of the tiles is free, has the sums of a of all threads added up and delivered.
fn deliver_sums_of(thread: u32, part: u32, row_start: u32) {
    let row = row_start + 4u * thread;
    tile_a[2u * thread] = sum_a.xy;
    tile_a[2u * thread + 1u] = sum_a.zw;
    workgroupBarrier();
    if thread < ROW_QUADS && row < size().x {
        var total = sum_a;
        for (var depth = 1u; depth < THREADS / ROW_QUADS; depth++) {
            total += rows_at(depth, thread);
        }
        deliver_sums(part, row, total);
    }
    workgroupBarrier();
}
