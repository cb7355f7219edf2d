use std::collections::HashSet;
use std::sync::Arc;

use cloze::data::{Batch, Encoded, Loader, Masker, Masking, NONE, Packing, TokenizerKind, validation_batches};

use crate::{prose, tokenizer};

const LENGTH: usize = 32;
const BATCH: usize = 3;

fn packing_and_masker(kind: TokenizerKind, whole_word: bool) -> (Arc<Packing>, Masker) {
    let tokenizer = tokenizer(kind);
    let encode = |seed| tokenizer.encode_with_word_starts(&prose(seed, 5)).unwrap();
    let documents: Vec<Encoded> = (100..110).map(encode).collect();
    let masking = Masking { whole_word, ..Masking::default() };
    let masker = Masker::new(masking, tokenizer.specials(), tokenizer.vocab_size()).unwrap();
    (Arc::new(Packing::new(Arc::new(documents), tokenizer.specials(), LENGTH).unwrap()), masker)
}

fn take(loader: &mut Loader, count: usize) -> Vec<Batch> {
    (0..count).map(|_| loader.next().unwrap()).collect()
}

/// The sequences of a batch as they were before masking.
fn originals(batch: &Batch) -> Vec<Vec<u32>> {
    let mut ids = batch.ids.clone();
    for (row, label) in batch.masked.iter().zip(&batch.labels).take(batch.count as usize) {
        ids[*row as usize] = *label;
    }
    ids.chunks(LENGTH).map(<[u32]>::to_vec).collect()
}

#[test]
fn the_fields_of_a_batch_agree_and_specials_are_never_masked() {
    for kind in [TokenizerKind::WordPiece, TokenizerKind::Bpe, TokenizerKind::Unigram] {
        for whole_word in [false, true] {
            let (packing, masker) = packing_and_masker(kind, whole_word);
            let k = masker.masking().masked_per_sequence(LENGTH);
            let mut loader = Loader::new(packing, masker, BATCH, 11, 0).unwrap();
            for batch in take(&mut loader, 40) {
                let (rows, count) = (BATCH * LENGTH, batch.count as usize);
                assert_eq!((batch.ids.len(), batch.masked.len()), (rows, BATCH * k));
                assert!(batch.masked[..count].is_sorted_by(|a, b| a < b));
                assert!(batch.labels[..count].iter().all(|label| !masker.specials().contains(*label)), "{kind:?}");
                assert!(batch.labels[count..].iter().all(|label| *label == NONE));
                for (row, slot) in batch.slots.iter().enumerate() {
                    let expected = batch.masked[..count].iter().position(|masked| *masked as usize == row);
                    assert_eq!(*slot, expected.map_or(NONE, |slot| slot as u32));
                }
                let by_id = |a: &u32, b: &u32| (batch.ids[*a as usize], a) < (batch.ids[*b as usize], b);
                assert!(batch.id_order.len() == rows && batch.id_order.is_sorted_by(by_id));
                assert_eq!(batch.tokens as usize, originals(&batch).concat().iter().filter(|id| **id != 0).count());
            }
        }
    }
}

#[test]
fn a_resumed_stream_goes_on_as_if_never_interrupted() {
    let (packing, masker) = packing_and_masker(TokenizerKind::WordPiece, false);
    let epochs = 3 * packing.len().div_ceil(BATCH);
    let whole = take(&mut Loader::new(packing.clone(), masker, BATCH, 5, 0).unwrap(), epochs);
    for first in [1, epochs / 2, epochs - 1] {
        let mut resumed = Loader::new(packing.clone(), masker, BATCH, 5, first as u64).unwrap();
        assert_eq!(take(&mut resumed, epochs - first), whole[first..], "after {first}");
    }
    let other = take(&mut Loader::new(packing, masker, BATCH, 6, 0).unwrap(), 1);
    assert_ne!(other[..], whole[..1]);
}

#[test]
fn an_epoch_has_every_sequence_once_with_masks_of_its_own() {
    let (packing, masker) = packing_and_masker(TokenizerKind::WordPiece, false);
    let mut loader = Loader::new(packing.clone(), masker, 1, 5, 0).unwrap();
    let [first, second] = [(); 2].map(|()| take(&mut loader, packing.len()));
    let sequences = |epoch: &[Batch]| epoch.iter().flat_map(originals).collect::<Vec<_>>();
    assert_ne!(sequences(&first), sequences(&second), "two epochs in the same order");
    let [first_set, second_set] = [&first, &second].map(|epoch| sequences(epoch).into_iter().collect::<HashSet<_>>());
    assert_eq!(first_set.len(), packing.len());
    assert_eq!(first_set, second_set);
    let picks = |epoch: &[Batch]| -> HashSet<(Vec<Vec<u32>>, Vec<u32>)> {
        epoch.iter().map(|batch| (originals(batch), batch.masked.clone())).collect()
    };
    assert!(picks(&first).intersection(&picks(&second)).count() < packing.len() / 10 + 1);
}

#[test]
fn validation_is_always_the_same_and_complete() {
    let (packing, masker) = packing_and_masker(TokenizerKind::WordPiece, false);
    let batches = |batch, limit| {
        let batches = validation_batches(&packing, &masker, batch, 1, limit).unwrap();
        batches.collect::<cloze::Result<Vec<Batch>>>().unwrap()
    };
    assert_eq!(batches(BATCH, None), batches(BATCH, None));
    assert_eq!(batches(BATCH, None).len(), packing.len().div_ceil(BATCH));
    let rows = |batches: Vec<Batch>| batches.into_iter().flat_map(|batch| batch.ids).collect::<Vec<_>>();
    let one_by_one = rows(batches(1, None));
    let filled = rows(batches(7, None));
    assert_eq!(filled[..one_by_one.len()], one_by_one);
    assert!(filled[one_by_one.len()..].iter().all(|id| *id == 0));
    assert_eq!(filled.len() % (7 * LENGTH), 0);

    let spread = rows(batches(1, Some(4)));
    let expected: Vec<u32> =
        (0..4).flat_map(|place| one_by_one[place * packing.len() / 4 * LENGTH..][..LENGTH].to_vec()).collect();
    assert_eq!(spread, expected);
}

#[test]
fn nothing_to_load_is_an_error() {
    let (packing, masker) = packing_and_masker(TokenizerKind::WordPiece, false);
    let empty = Arc::new(Packing::new(Arc::new(Vec::new()), packing.specials(), LENGTH).unwrap());
    assert!(Loader::new(empty, masker, BATCH, 0, 0).is_err());
    assert!(Loader::new(packing, masker, 0, 0, 0).is_err());
}
