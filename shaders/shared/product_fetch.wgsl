// How a workgroup of THREADS brings the next DEPTH terms of a ROWS×COLUMNS tile to workgroup memory. Each thread loads two
// quads of a and two of b, which stay in registers in their stored type until that memory is free. No load is conditional: past
// an edge it repeats the last line, or the last terms. The kernel gives
//   size()                       rows, columns and depth of the product
//   line_a(row), line_b(column)  where a line begins, or four lines that lie side by side
//   quad_a(line, depth), quad_b(line, depth)
//                                four terms of a line if A_BY_DEPTH (B_BY_DEPTH), else one term of four lines; the size along
//                                them is a multiple of four
//   HAS_SUMS                     whether a is also summed over depth; A_BY_DEPTH is false then
const ROW_QUADS: u32 = ROWS / 4u;
const COLUMN_QUADS: u32 = COLUMNS / 4u;
const DEPTH_QUADS: u32 = DEPTH / 4u;
// Row tiles that are processed together, so that what they share stays in cache.
const BAND: u32 = 8u;

// Pairs, since a thread holds two lines along depth and must not write to a part of a vector.
var<workgroup> tile_a: array<vec2<f32>, DEPTH * ROWS / 2u>; // [DEPTH, ROWS / 2]
var<workgroup> tile_b: array<vec2<f32>, DEPTH * COLUMNS / 2u>; // [DEPTH, COLUMNS / 2]

// If an operand lies along depth: where the thread's two lines begin. Otherwise: where its quad lies at its first depth and at
// the last depth.
var<private> lines_a: vec2<u32>;
var<private> lines_b: vec2<u32>;
// What the thread has fetched.
var<private> next_a0: vec4<Real>;
var<private> next_a1: vec4<Real>;
var<private> next_b0: vec4<Real>;
var<private> next_b1: vec4<Real>;
// The sums over depth of what the thread has fetched of a.
var<private> sum_a: vec4<f32>;

// If an operand lies along depth: the pair of lines and the quad of depths that a thread loads. Eight neighbouring threads
// write 64 bytes of a depth, and DEPTH_QUADS times as many threads read eight pairs of lines.
fn block_of(thread: u32) -> vec2<u32> {
    return vec2<u32>(thread % 8u + thread / (8u * DEPTH_QUADS) * 8u, thread / 8u % DEPTH_QUADS);
}

// Sets `lines_a` and `lines_b`, before the first fetch.
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

// Writes what was fetched from `depth` on to workgroup memory. Terms of a from `end` on become zeros, so that those of b there
// count for nothing.
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
        // Every column of tiles adds up, though only the first delivers the sums: a condition would cost more.
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

// Four rows of the tile at one depth.
fn rows_at(depth: u32, quad: u32) -> vec4<f32> {
    let at = depth * (ROWS / 2u) + 2u * quad;
    return vec4<f32>(tile_a[at], tile_a[at + 1u]);
}

// Four columns of the tile at one depth.
fn columns_at(depth: u32, quad: u32) -> vec4<f32> {
    let at = depth * (COLUMNS / 2u) + 2u * quad;
    return vec4<f32>(tile_b[at], tile_b[at + 1u]);
}

// The row tile and the column tile of a workgroup. The order goes down a band of row tiles, which stays in cache, and then on
// to the next column.
fn tile_of(group: vec3<u32>, groups: vec3<u32>) -> vec2<u32> {
    let number = group.y * groups.x + group.x;
    let first = number / (BAND * groups.x) * BAND;
    let band = min(BAND, groups.y - first);
    let within = number % (BAND * groups.x);
    return vec2<u32>(first + within % band, within / band);
}

// Adds up the threads' sums of a and delivers them. It overwrites the tiles, so no thread may still need those.
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
