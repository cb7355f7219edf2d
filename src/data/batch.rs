//! A microbatch as the model takes it: flat arrays of fixed lengths.

use super::example::Example;

/// Marks an unused label and a row that isn't selected.
pub const NONE: u32 = u32::MAX;

/// One microbatch: B sequences of T tokens, N = B·T rows, K = B·k rows that the task selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[N]` token ids after masking.
    pub ids: Vec<u32>,
    /// `[N]` position within the own document piece.
    pub positions: Vec<u32>,
    /// `[N]` token types.
    pub types: Vec<u32>,
    /// `[N]` start and end, in tokens of its sequence, of the row's own document.
    pub spans: Vec<[u32; 2]>,
    /// `[K]` numbers (0..N) of the rows that the task selects, ascending; unused ones at the end are 0.
    pub selected: Vec<u32>,
    /// `[K]` the tokens to predict there; `NONE` where there is none.
    pub labels: Vec<u32>,
    /// `[N]` inverse of `selected`: the index into it, `NONE` elsewhere.
    pub inverse: Vec<u32>,
    pub classes: Classes,
    /// Sort orders for the gradient of the embeddings; only in training batches.
    pub orders: Option<Orders>,
    /// Number of rows of `selected` in use.
    pub selected_count: u32,
    /// Number of labels in use.
    pub label_count: u32,
    /// Number of tokens that aren't padding.
    pub tokens: u32,
}

/// The classes of whole sequences. The first selected row of a sequence predicts its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// `[B]` the class of each sequence; `NONE` without one.
    pub labels: Vec<u32>,
    /// `[B]` the index in `selected` of each sequence's first row; 0 if it has none.
    pub firsts: Vec<u32>,
    /// `[K]` inverse of `firsts`: the sequence, `NONE` elsewhere.
    pub inverse: Vec<u32>,
    /// Number of labels in use.
    pub count: u32,
}

/// `[N]` each: the rows sorted by id, position and type, for the segmented sums of the embeddings' gradients. Rows with the
/// same key stay in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    pub ids: Vec<u32>,
    pub positions: Vec<u32>,
    pub types: Vec<u32>,
}

impl Batch {
    /// Collates `examples`, which must have the same length and at most `k` selected rows each.
    ///
    /// # Panics
    /// If they have not.
    pub fn new(examples: &[Example], k: usize) -> Self {
        let length = examples.first().map_or(0, |first| first.sequence.ids.len());
        let (rows, most) = (examples.len() * length, examples.len() * k);
        let mut batch = Batch {
            ids: Vec::with_capacity(rows),
            positions: Vec::with_capacity(rows),
            types: Vec::with_capacity(rows),
            spans: Vec::with_capacity(rows),
            selected: Vec::with_capacity(most),
            labels: Vec::with_capacity(most),
            inverse: vec![NONE; rows],
            classes: Classes { labels: Vec::new(), firsts: Vec::new(), inverse: vec![NONE; most], count: 0 },
            orders: None,
            selected_count: 0,
            label_count: 0,
            tokens: 0,
        };
        for (number, example) in examples.iter().enumerate() {
            let fits = example.selected.len() <= k && example.sequence.ids.len() == length;
            assert!(fits, "a sequence that doesn't fit the batch");
            batch.add(number as u32, example);
        }
        batch.selected_count = batch.selected.len() as u32;
        batch.label_count = in_use(&batch.labels);
        batch.classes.count = in_use(&batch.classes.labels);
        batch.selected.resize(most, 0);
        batch.labels.resize(most, NONE);
        batch
    }

    /// As `new`, for a training batch.
    ///
    /// # Panics
    /// As `new`.
    pub fn for_training(examples: &[Example], k: usize) -> Self {
        let batch = Self::new(examples, k);
        let [ids, positions, types] = [&batch.ids, &batch.positions, &batch.types].map(|keys| order(keys));
        Batch { orders: Some(Orders { ids, positions, types }), ..batch }
    }

    fn add(&mut self, number: u32, Example { sequence, selected, labels, class }: &Example) {
        let (first_row, first) = (self.ids.len() as u32, self.selected.len() as u32);
        for position in selected {
            self.inverse[(first_row + position) as usize] = self.selected.len() as u32;
            self.selected.push(first_row + position);
        }
        self.labels.extend_from_slice(labels);
        self.classes.labels.push(class.unwrap_or(NONE));
        self.classes.firsts.push(if selected.is_empty() { 0 } else { first });
        if !selected.is_empty() {
            self.classes.inverse[first as usize] = number;
        }
        self.ids.extend_from_slice(&sequence.ids);
        self.positions.extend_from_slice(&sequence.positions);
        self.types.extend_from_slice(&sequence.types);
        self.spans.extend_from_slice(&sequence.spans);
        self.tokens += sequence.real as u32;
    }
}

fn in_use(labels: &[u32]) -> u32 {
    labels.iter().filter(|&&label| label != NONE).count() as u32
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

    #[test]
    fn a_small_batch_in_full() {
        let mut first = Example::new(vec![2, 4, 9, 3], vec![0, 1], vec![NONE, 7]);
        first.class = Some(1);
        first.sequence.types = vec![0, 0, 1, 1];
        let batch = Batch::for_training(&[Example::padding(0, 4), first], 3);
        assert_eq!(batch.ids, [0, 0, 0, 0, 2, 4, 9, 3]);
        assert_eq!(batch.types, [0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(batch.selected, [4, 5, 0, 0, 0, 0]);
        assert_eq!(batch.labels, [NONE, 7, NONE, NONE, NONE, NONE]);
        assert_eq!(batch.inverse, [NONE, NONE, NONE, NONE, 0, 1, NONE, NONE]);
        assert_eq!(batch.spans, [[0, 1], [1, 2], [2, 3], [3, 4], [0, 4], [0, 4], [0, 4], [0, 4]]);
        assert_eq!((&batch.classes.labels[..], &batch.classes.firsts[..]), (&[NONE, 1][..], &[0, 0][..]));
        assert_eq!(batch.classes.inverse, [1, NONE, NONE, NONE, NONE, NONE]);
        assert_eq!((batch.selected_count, batch.label_count, batch.classes.count, batch.tokens), (2, 1, 1, 4));
        let orders = batch.orders.unwrap();
        assert_eq!(orders.ids, [0, 1, 2, 3, 4, 7, 5, 6]);
        assert_eq!(orders.positions, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(orders.types, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
