// How the terms of a product lie in workgroup memory: one by one, since Metal loads matrices from nothing else.
alias Cell = Real;
const CELL: u32 = 1u;

fn put(at: u32, terms: vec4<Real>) {
    tile[at] = terms.x;
    tile[at + 1u] = terms.y;
    tile[at + 2u] = terms.z;
    tile[at + 3u] = terms.w;
}
