// A square tile of the product on cooperative matrices, f16 into f32, of the SIDE of matrices_16.wgsl or matrices_8.wgsl: a
// workgroup of 128 threads, whose subgroups each own quadrants of 2×2 matrices. Both operands go through workgroup memory, 32
// terms at a time, with zeros past the edges; sums go through it to `store`. Needs the same functions as product_tiled.wgsl.
const TILE: u32 = 4u * SIDE;
const DEPTH: u32 = 32u;
const PATCH: u32 = SIDE * SIDE;
const THREADS: u32 = 128u;
const QUADRANTS: u32 = 4u;

var<workgroup> tile_a: array<f16, TILE * DEPTH>; // [TILE rows, DEPTH]
var<workgroup> tile_b: array<f16, TILE * DEPTH>; // [TILE columns, DEPTH]
var<workgroup> patches: array<f32, QUADRANTS * PATCH>; // [QUADRANTS, SIDE, SIDE]

// Which row (or column) and which depth the n-th element of a tile is, so that neighbours load neighbours.
fn place(n: u32, by_depth: bool) -> vec2<u32> {
    if by_depth {
        return vec2<u32>(n / DEPTH, n % DEPTH);
    }
    return vec2<u32>(n % TILE, n / TILE);
}

fn load_tiles(row: u32, column: u32, depth: u32, thread: u32) {
    let size = size();
    for (var n = thread; n < TILE * DEPTH; n += THREADS) {
        let at = place(n, A_BY_DEPTH);
        var value = 0.0;
        if row + at.x < size.x && depth + at.y < size.z {
            value = load_a(row + at.x, depth + at.y);
        }
        tile_a[at.x * DEPTH + at.y] = f16(value);
    }
    for (var n = thread; n < TILE * DEPTH; n += THREADS) {
        let at = place(n, B_BY_DEPTH);
        var value = 0.0;
        if column + at.x < size.y && depth + at.y < size.z {
            value = load_b(depth + at.y, column + at.x);
        }
        tile_b[at.x * DEPTH + at.y] = f16(value);
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    let row = group.y * TILE;
    let column = group.x * TILE;
    if HAS_SUMS && column == 0u {
        store_sums_of(row, thread);
    }
    // With more subgroups than quadrants some compute one again, and do not store it.
    for (var round = 0u; round < max(QUADRANTS / subgroups, 1u); round++) {
        let quadrant = (round * subgroups + subgroup) % QUADRANTS;
        let row_in_tile = 2u * SIDE * (quadrant / 2u);
        let column_in_tile = 2u * SIDE * (quadrant % 2u);
        var sum00 = Sums();
        var sum01 = Sums();
        var sum10 = Sums();
        var sum11 = Sums();
        for (var depth = 0u; depth < size().z; depth += DEPTH) {
            load_tiles(row, column, depth, thread);
            workgroupBarrier();
            for (var i = 0u; i < DEPTH; i += SIDE) {
                let at_a = row_in_tile * DEPTH + i;
                let at_b = column_in_tile * DEPTH + i;
                let a0 = coopLoadT<Left>(&tile_a[at_a], DEPTH);
                let a1 = coopLoadT<Left>(&tile_a[at_a + SIDE * DEPTH], DEPTH);
                let b0 = coopLoad<Right>(&tile_b[at_b], DEPTH);
                let b1 = coopLoad<Right>(&tile_b[at_b + SIDE * DEPTH], DEPTH);
                sum00 = coopMultiplyAdd(a0, b0, sum00);
                sum01 = coopMultiplyAdd(a0, b1, sum01);
                sum10 = coopMultiplyAdd(a1, b0, sum10);
                sum11 = coopMultiplyAdd(a1, b1, sum11);
            }
            workgroupBarrier();
        }
        let patch_start = PATCH * (subgroup % QUADRANTS);
        let corner = vec2<u32>(row + row_in_tile, column + column_in_tile);
        let owned = subgroup < QUADRANTS;
        // Stores of owners alone, in loops of a round or none: naga takes an `if` on a subgroup to part its threads.
        for (var own = subgroup; own < QUADRANTS; own += QUADRANTS) {
            coopStoreT(sum00, &patches[patch_start], SIDE);
        }
        workgroupBarrier();
        store_patch(corner, patch_start, lane, lanes, owned);
        workgroupBarrier();
        for (var own = subgroup; own < QUADRANTS; own += QUADRANTS) {
            coopStoreT(sum01, &patches[patch_start], SIDE);
        }
        workgroupBarrier();
        store_patch(corner + vec2<u32>(0u, SIDE), patch_start, lane, lanes, owned);
        workgroupBarrier();
        for (var own = subgroup; own < QUADRANTS; own += QUADRANTS) {
            coopStoreT(sum10, &patches[patch_start], SIDE);
        }
        workgroupBarrier();
        store_patch(corner + vec2<u32>(SIDE, 0u), patch_start, lane, lanes, owned);
        workgroupBarrier();
        for (var own = subgroup; own < QUADRANTS; own += QUADRANTS) {
            coopStoreT(sum11, &patches[patch_start], SIDE);
        }
        workgroupBarrier();
        store_patch(corner + vec2<u32>(SIDE, SIDE), patch_start, lane, lanes, owned);
        workgroupBarrier();
    }
}

// The sums of a over depth, four rows a thread.
fn store_sums_of(row_start: u32, thread: u32) {
    let row = row_start + 4u * thread;
    if thread < TILE / 4u && row < size().x {
        let last = size().x - 1u;
        var total = vec4<f32>();
        for (var depth = 0u; depth < size().z; depth++) {
            total += vec4<f32>(
                load_a(row, depth), load_a(min(row + 1u, last), depth),
                load_a(min(row + 2u, last), depth), load_a(min(row + 3u, last), depth),
            );
        }
        store_sums(row, total);
    }
}

// Hands a subgroup's sums to the kernel, four columns at a time.
fn store_patch(corner: vec2<u32>, patch_start: u32, lane: u32, lanes: u32, owned: bool) {
    for (var i = lane; i < PATCH / 4u; i += lanes) {
        let row = corner.x + 4u * i / SIDE;
        let column = corner.y + 4u * i % SIDE;
        if owned && row < size().x && column < size().y {
            let at = patch_start + 4u * i;
            store(row, column, vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]));
        }
    }
}
