// How the terms of a product lie in workgroup memory: in fours, so that matrices are loaded by vectors.
alias Cell = vec4<f16>;
const CELL: u32 = 4u;

fn put(at: u32, terms: vec4<f16>) {
    tile[at] = terms;
}
