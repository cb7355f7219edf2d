use std::collections::HashSet;
use std::sync::Arc;

use cloze::data::{
    Batch, Encoded, Examples, Loader, MaskedSequences, Masker, Masking, NONE, Packing, Share, TokenizerKind,
    validation_batches,
};

use crate::{prose, tokenizer};

const LENGTH: usize = 32;
const BATCH: usize = 3;

fn masked_sequences(kind: TokenizerKind, whole_word: bool) -> Arc<MaskedSequences> {
    let tokenizer = tokenizer(kind);
    let encode = |seed| tokenizer.encode_with_word_starts(&prose(seed, 5)).unwrap();
    let documents: Vec<Encoded> = (100..110).map(encode).collect();
    let masking = Masking { whole_word, ..Masking::default() };
    let masker = Masker::new(masking, tokenizer.specials(), tokenizer.vocab_size()).unwrap();
    let packing = Packing::new(Arc::new(documents), tokenizer.specials(), LENGTH).unwrap();
    Arc::new(MaskedSequences { packing, masker })
}

fn take(loader: &mut Loader, count: usize) -> Vec<Batch> {
    (0..count).map(|_| loader.next().unwrap()).collect()
}

/// The sequences of a batch as they were before masking.
fn originals(batch: &Batch) -> Vec<Vec<u32>> {
    let mut ids = batch.ids.clone();
    for (row, label) in batch.selected.iter().zip(&batch.labels).take(batch.selected_count as usize) {
        ids[*row as usize] = *label;
    }
    ids.chunks(LENGTH).map(<[u32]>::to_vec).collect()
}

#[test]
fn the_fields_of_a_batch_agree_and_specials_are_never_masked() {
    for kind in [TokenizerKind::WordPiece, TokenizerKind::Bpe, TokenizerKind::Unigram] {
        for whole_word in [false, true] {
            let examples = masked_sequences(kind, whole_word);
            let (k, specials) = (examples.selected_per_sequence(), examples.masker.specials());
            let mut loader = Loader::new(examples, BATCH, 11, 0).unwrap();
            for batch in take(&mut loader, 40) {
                let (rows, count) = (BATCH * LENGTH, batch.selected_count as usize);
                assert_eq!((batch.ids.len(), batch.selected.len()), (rows, BATCH * k));
                assert!(batch.selected[..count].is_sorted_by(|a, b| a < b));
                assert!(batch.labels[..count].iter().all(|label| !specials.contains(*label)), "{kind:?}");
                assert!(batch.labels[count..].iter().all(|label| *label == NONE));
                for (row, place) in batch.inverse.iter().enumerate() {
                    let expected = batch.selected[..count].iter().position(|selected| *selected as usize == row);
                    assert_eq!(*place, expected.map_or(NONE, |place| place as u32));
                }
                let by_id = |a: &u32, b: &u32| (batch.ids[*a as usize], a) < (batch.ids[*b as usize], b);
                let order = &batch.orders.as_ref().unwrap().ids;
                assert!(order.len() == rows && order.is_sorted_by(by_id));
                assert_eq!(batch.tokens as usize, originals(&batch).concat().iter().filter(|id| **id != 0).count());
            }
        }
    }
}

#[test]
fn a_resumed_stream_goes_on_as_if_never_interrupted() {
    let examples = masked_sequences(TokenizerKind::WordPiece, false);
    let epochs = 3 * examples.len().div_ceil(BATCH);
    let whole = take(&mut Loader::new(examples.clone(), BATCH, 5, 0).unwrap(), epochs);
    for first in [1, epochs / 2, epochs - 1] {
        let mut resumed = Loader::new(examples.clone(), BATCH, 5, first as u64).unwrap();
        assert_eq!(take(&mut resumed, epochs - first), whole[first..], "after {first}");
    }
    let other = take(&mut Loader::new(examples, BATCH, 6, 0).unwrap(), 1);
    assert_ne!(other[..], whole[..1]);
}

#[test]
fn processes_share_the_stream_of_one() {
    let examples = masked_sequences(TokenizerKind::WordPiece, false);
    let (first, microbatches, steps) = (3, 2, 4);
    for size in [1, 2, 3] {
        let all = Loader::new(examples.clone(), BATCH, 5, first);
        let all = take(&mut all.unwrap(), size * microbatches * steps);
        for rank in 0..size {
            let share = Share { rank, size, microbatches };
            let mut own = Loader::of_share(examples.clone(), BATCH, 5, first, share).unwrap();
            for step in 0..steps {
                let expected = &all[(step * size + rank) * microbatches..][..microbatches];
                assert_eq!(take(&mut own, microbatches), expected, "rank {rank} of {size} at step {step}");
            }
        }
    }
}

#[test]
fn an_epoch_has_every_sequence_once_with_masks_of_its_own() {
    let examples = masked_sequences(TokenizerKind::WordPiece, false);
    let mut loader = Loader::new(examples.clone(), 1, 5, 0).unwrap();
    let [first, second] = [(); 2].map(|()| take(&mut loader, examples.len()));
    let sequences = |epoch: &[Batch]| epoch.iter().flat_map(originals).collect::<Vec<_>>();
    assert_ne!(sequences(&first), sequences(&second), "two epochs in the same order");
    let [first_set, second_set] = [&first, &second].map(|epoch| sequences(epoch).into_iter().collect::<HashSet<_>>());
    assert_eq!(first_set.len(), examples.len());
    assert_eq!(first_set, second_set);
    let selected = |epoch: &[Batch]| -> HashSet<(Vec<Vec<u32>>, Vec<u32>)> {
        epoch.iter().map(|batch| (originals(batch), batch.selected.clone())).collect()
    };
    assert!(selected(&first).intersection(&selected(&second)).count() < examples.len() / 10 + 1);
}

#[test]
fn validation_is_always_the_same_and_complete() {
    let examples = masked_sequences(TokenizerKind::WordPiece, false);
    let batches = |batch, limit| {
        let batches = validation_batches(&*examples, batch, 1, limit).unwrap();
        batches.collect::<cloze::Result<Vec<Batch>>>().unwrap()
    };
    assert_eq!(batches(BATCH, None), batches(BATCH, None));
    assert_eq!(batches(BATCH, None).len(), examples.len().div_ceil(BATCH));
    let rows = |batches: Vec<Batch>| batches.into_iter().flat_map(|batch| batch.ids).collect::<Vec<_>>();
    let one_by_one = rows(batches(1, None));
    let filled = rows(batches(7, None));
    assert_eq!(filled[..one_by_one.len()], one_by_one);
    assert!(filled[one_by_one.len()..].iter().all(|id| *id == 0));
    assert_eq!(filled.len() % (7 * LENGTH), 0);

    let spread = rows(batches(1, Some(4)));
    let expected: Vec<u32> =
        (0..4).flat_map(|place| one_by_one[place * examples.len() / 4 * LENGTH..][..LENGTH].to_vec()).collect();
    assert_eq!(spread, expected);
}

#[test]
fn nothing_to_load_is_an_error() {
    let examples = masked_sequences(TokenizerKind::WordPiece, false);
    let packing = Packing::new(Arc::new(Vec::new()), examples.packing.specials(), LENGTH).unwrap();
    let empty = Arc::new(MaskedSequences { packing, masker: examples.masker });
    assert!(Loader::new(empty, BATCH, 0, 0).is_err());
    assert!(Loader::new(examples, 0, 0, 0).is_err());
}
