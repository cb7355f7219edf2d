//! Token + position + type embedding, and the gradient of one of its tables.

use super::case::{Sizes, ids};
use super::cpu::parallel::each_row;
use super::cpu::reduce::add;
use super::cpu::simd::{inlined, simd};
use super::kernel::{Case, Fill, Views, kernel, params};
use super::mathematics::{plus, times};

params! {
    pub struct Embedding {
        /// B·T.
        rows: u32,
        width: u32,
        vocabulary: u32,
        /// Rows of the position table; 0 without one.
        positions: u32,
        /// Rows of the type table; 0 without one.
        types: u32,
    }
}

kernel! {
    /// `y = token_table[ids] + position_table[positions] + type_table[types]`
    pub static EMBEDDING(EmbeddingArgs) = "embedding" (p: &Embedding);
    args {
        In ids: u32[p.rows],
        In positions: u32[p.rows],
        In types: u32[p.rows],
        In token_table: real[p.vocabulary * p.width] touched p.rows * p.width,
        MaybeIn position_table: real[p.positions * p.width] touched p.rows * p.width,
        MaybeIn type_table: real[p.types * p.width] touched p.rows * p.width,
        Out y: real[p.rows * p.width],
    }
    constants {}
    variant "reference" = ["shared/index.wgsl", "shared/scalars.wgsl", "embedding.wgsl"] {
        "main": fold((p.rows * p.width).div_ceil(256) as usize),
    }
    variant "quads" = ["shared/index.wgsl", "shared/quads.wgsl", "embedding.wgsl"] {
        fits: p.width.is_multiple_of(4),
        "main": fold((p.rows * p.width).div_ceil(4 * 256) as usize),
    }
    design(class): on_gpus(class, &["quads"]),
    flops: 2 * p.rows * p.width,
    tolerance: 1e-6,
    exact: true,
    cases: embedding_cases,
    bench: embedding_bench,
    twin: embedding,
    formula(ids, positions, types, token_table, position_table, type_table) -> [y]: {
        let tokens = picked(token_table, &ids.words, p.width);
        let places = plus(&tokens, &picked(position_table, &positions.words, p.width));
        [plus(&places, &picked(type_table, &types.words, p.width))]
    },
}

/// The rows of a table that ids pick, in f64; empty for an absent table.
fn picked(table: &[f64], ids: &[u32], width: u32) -> Vec<f64> {
    let rows: Vec<&[f64]> = table.chunks(width as usize).collect();
    if rows.is_empty() { Vec::new() } else { ids.iter().flat_map(|&id| rows[id as usize]).copied().collect() }
}

fn embedding(p: &Embedding, views: Views) {
    let [ids, positions, types, tokens, position_table, type_table, y] = views.array();
    let (ids, positions, types) = (ids.read::<u32>(), positions.read::<u32>(), types.read::<u32>());
    let (tokens, position_table, type_table) = (tokens.read(), position_table.read(), type_table.read());
    let width = p.width as usize;
    each_row(
        y.write::<f32>(),
        width,
        inlined!(|row, y| {
            y.copy_from_slice(table_row(tokens, ids[row], width));
            if !position_table.is_empty() {
                add(y, table_row(position_table, positions[row], width));
            }
            if !type_table.is_empty() {
                add(y, table_row(type_table, types[row], width));
            }
        }),
    );
}

fn table_row(table: &[f32], row: u32, width: usize) -> &[f32] {
    &table[row as usize * width..][..width]
}

params! {
    pub struct EmbeddingBackward {
        /// B·T.
        rows: u32,
        width: u32,
        /// Rows of the table.
        entries: u32,
    }
}

/// Places of `order` that the variant `runs` adds up in one chunk.
const CHUNK: u32 = 16;

kernel! {
    /// `d_table[id]` += the sum of dy over the rows with that id. `order` holds the rows sorted by id, so that each id is one
    /// run and is added up in one order.
    pub static EMBEDDING_BACKWARD(EmbeddingBackwardArgs) = "embedding_backward" (p: &EmbeddingBackward);
    args {
        In ids: u32[p.rows],
        In order: u32[p.rows],
        In dy: real[p.rows * p.width],
        ShaderScratch partial: f32[2 * p.rows.div_ceil(CHUNK) * p.width],
        InOut d_table: f32[p.entries * p.width] touched p.rows * p.width,
    }
    constants {
        CHUNK = CHUNK,
    }
    variant "reference" = ["shared/index.wgsl", "embedding_backward.wgsl"] {
        "main"(ids, order, dy, d_table): fold((p.rows * p.width.div_ceil(32)) as usize),
    }
    variant "runs" = ["shared/index.wgsl", "embedding_backward_runs.wgsl"] {
        fits: p.width.is_multiple_of(4),
        "chunks": fold((p.rows.div_ceil(CHUNK) * p.width.div_ceil(4 * 64)) as usize),
        "runs": fold((p.rows.div_ceil(CHUNK) * p.width.div_ceil(4 * 32)) as usize),
    }
    design(class): on_gpus(class, &["runs"]),
    flops: p.rows * p.width,
    tolerance: 1e-5,
    exact: true,
    cases: embedding_backward_cases,
    bench: |s| embedding_backward_case(s.ids(), s.width, s.vocabulary),
    typical: embedding_backward_case(ids(p.rows, p.entries), p.width, p.entries).fills,
    twin: embedding_backward,
    gradient(table -> d_table; ids, dy): times(dy, &picked(table, &ids.words, p.width)),
}

fn embedding_backward(p: &EmbeddingBackward, views: Views) {
    let [ids, order, dy, _, d_table] = views.array();
    let (ids, order, dy, d_table) = (ids.read::<u32>(), order.read::<u32>(), dy.read::<f32>(), d_table.write());
    let width = p.width as usize;
    simd(inlined!(|| {
        for &row in order {
            let entry = ids[row as usize] as usize;
            add(&mut d_table[entry * width..][..width], &dy[row as usize * width..][..width]);
        }
    }));
}

const ANY: Fill = Fill::Uniform(-4.0, 4.0);

fn embedding_case(p: Embedding, ids: Fill) -> Case {
    let numbers = |entries| Fill::Ids { below: u32::max(entries, 1) };
    let table = |entries| if entries == 0 { Fill::Absent } else { ANY };
    let (positions, types) = (numbers(p.positions), numbers(p.types));
    let fills = [ids, positions, types, ANY, table(p.positions), table(p.types), Fill::Nothing];
    Case::new(p, fills)
}

fn embedding_cases() -> Vec<Case> {
    [(1, 1, 3, 2, 0), (63, 65, 7, 5, 2), (130, 32, 50, 0, 0), (33, 128, 200, 64, 3)]
        .map(|(rows, width, vocabulary, positions, types)| {
            let p = Embedding { rows, width, vocabulary, positions, types };
            embedding_case(p, Fill::Ids { below: vocabulary })
        })
        .into()
}

fn embedding_bench(s: &Sizes) -> Case {
    let (rows, width, vocabulary) = (s.rows(), s.width, s.vocabulary);
    let p = Embedding { rows, width, vocabulary, positions: s.sequence, types: 0 };
    embedding_case(p, Fill::Words(s.ids()))
}

fn embedding_backward_case(ids: Vec<u32>, width: u32, entries: u32) -> Case {
    let rows = ids.len() as u32;
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_by_key(|&row| ids[row as usize]);
    let fills = [Fill::Words(ids), Fill::Words(order), ANY, Fill::Nothing, ANY];
    Case::new(EmbeddingBackward { rows, width, entries }, fills)
}

fn embedding_backward_cases() -> Vec<Case> {
    // One id for all rows; runs that start and end with a chunk (of 16); runs of all lengths; and no repeated id.
    let shapes = [(1, 1, 1), (65, 33, 7), (17, 4, 1), (300, 64, 2), (96, 36, 3), (331, 260, 40), (129, 128, 1000)];
    shapes
        .map(|(rows, width, entries)| {
            let id = |row: u32| if entries == 3 { row % 3 } else { (row * 7 + row / 3) % entries };
            embedding_backward_case((0..rows).map(id).collect(), width, entries)
        })
        .into()
}
