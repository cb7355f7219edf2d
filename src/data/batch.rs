//! A microbatch as the model takes it: flat arrays of fixed lengths.

use super::masking::MaskedSequence;

/// Marks an unused label and a row that isn't masked.
pub const NONE: u32 = u32::MAX;

/// One microbatch: B sequences of T tokens, N = B·T rows, K = B·k masked rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[N]` token ids after masking.
    pub ids: Vec<u32>,
    /// `[N]` position within the own document piece.
    pub positions: Vec<u32>,
    /// `[N]` token types, zero in pretraining.
    pub types: Vec<u32>,
    /// `[N]` start and end, in tokens of its sequence, of the row's own document.
    pub spans: Vec<[u32; 2]>,
    /// `[K]` row numbers (0..N) of masked positions, ascending; unused ones at the end are 0.
    pub masked: Vec<u32>,
    /// `[K]` original ids; `NONE` where unused.
    pub labels: Vec<u32>,
    /// `[N]` inverse of `masked`: the index into it, `NONE` elsewhere.
    pub slots: Vec<u32>,
    /// `[N]` rows sorted by id, stable: for the segmented sums of the embedding's gradient.
    pub id_order: Vec<u32>,
    /// `[N]` rows sorted by position, stable.
    pub position_order: Vec<u32>,
    /// `[N]` rows sorted by type, stable.
    pub type_order: Vec<u32>,
    /// Labels in use.
    pub count: u32,
    /// Tokens that aren't padding.
    pub tokens: u32,
}

impl Batch {
    /// Lays out `sequences`, all of one length, of which none has more than `k` masked positions.
    ///
    /// # Panics
    /// If one has more.
    pub fn new(sequences: &[MaskedSequence], k: usize) -> Self {
        let length = sequences.first().map_or(0, |first| first.sequence.ids.len());
        let rows = sequences.len() * length;
        let mut batch = Batch {
            ids: Vec::with_capacity(rows),
            positions: Vec::with_capacity(rows),
            types: vec![0; rows],
            spans: Vec::with_capacity(rows),
            masked: Vec::with_capacity(sequences.len() * k),
            labels: Vec::with_capacity(sequences.len() * k),
            slots: vec![NONE; rows],
            id_order: Vec::new(),
            position_order: Vec::new(),
            type_order: Vec::new(),
            count: 0,
            tokens: 0,
        };
        for MaskedSequence { sequence, picks, labels } in sequences {
            assert!(picks.len() <= k && sequence.ids.len() == length, "a sequence that doesn't fit the batch");
            let first_row = batch.ids.len() as u32;
            for pick in picks {
                batch.slots[(first_row + pick) as usize] = batch.masked.len() as u32;
                batch.masked.push(first_row + pick);
            }
            batch.labels.extend_from_slice(labels);
            batch.ids.extend_from_slice(&sequence.ids);
            batch.positions.extend_from_slice(&sequence.positions);
            batch.spans.extend_from_slice(&sequence.spans);
            batch.tokens += sequence.real as u32;
        }
        batch.count = batch.masked.len() as u32;
        batch.masked.resize(sequences.len() * k, 0);
        batch.labels.resize(sequences.len() * k, NONE);
        batch.id_order = order(&batch.ids);
        batch.position_order = order(&batch.positions);
        batch.type_order = order(&batch.types);
        batch
    }
}

/// The rows sorted by key; rows with the same key stay in order.
fn order(keys: &[u32]) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..keys.len() as u32).collect();
    rows.sort_by_key(|row| keys[*row as usize]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::packing::Sequence;

    #[test]
    fn a_small_batch_in_full() {
        let first = MaskedSequence {
            sequence: Sequence {
                ids: vec![2, 4, 9, 3],
                word_starts: vec![true; 4],
                spans: vec![[0, 4]; 4],
                positions: vec![0, 1, 2, 3],
                real: 4,
            },
            picks: vec![1],
            labels: vec![7],
        };
        let second = MaskedSequence { sequence: Sequence::empty(0, 4), ..Default::default() };
        let batch = Batch::new(&[second, first], 2);
        assert_eq!(batch.ids, [0, 0, 0, 0, 2, 4, 9, 3]);
        assert_eq!(batch.masked, [5, 0, 0, 0]);
        assert_eq!(batch.labels, [7, NONE, NONE, NONE]);
        assert_eq!(batch.slots, [NONE, NONE, NONE, NONE, NONE, 0, NONE, NONE]);
        assert_eq!(batch.spans, [[0, 1], [1, 2], [2, 3], [3, 4], [0, 4], [0, 4], [0, 4], [0, 4]]);
        assert_eq!(batch.id_order, [0, 1, 2, 3, 4, 7, 5, 6]);
        assert_eq!(batch.position_order, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(batch.type_order, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((batch.types, batch.count, batch.tokens), (vec![0; 8], 1, 4));
    }
}
