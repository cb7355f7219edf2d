//! Whole words in scripts without spaces between words.

use crate::workshop::Workshop;
use cloze::data::{Loader, MaskedSequences, Masker, Masking, Packing, Prepared, Split};
use std::sync::Arc;

const WORDS: [&str; 12] =
    ["我们", "学习", "中国", "历史", "今天", "天气", "老师", "学生", "朋友", "喜欢", "音乐", "电影"];
const LINES: usize = 150;
/// More tokens than are masked in a sequence.
const WORDS_A_LINE: usize = 60;

/// Lines of Chinese, each a row of words and a full stop.
fn chinese() -> String {
    let mut state = 1u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(state >> 16) as usize % WORDS.len()]
    };
    let mut line = || (0..WORDS_A_LINE).map(|_| word()).collect::<String>() + "。\n";
    (0..LINES).map(|_| line()).collect()
}

/// A line is not one word. When it was taken for one, its start was always masked and its end never.
#[test]
fn the_rate_of_masks_is_even_over_a_line() {
    let shop = Workshop::new();
    shop.write("chinese.txt", chinese());
    for kind in ["unigram", "bpe"] {
        shop.done(&format!("tokenizer --kind {kind} --vocab-size 320 --out {kind}.json chinese.txt"), &[]);
        shop.done(&format!("prepare --tokenizer {kind}.json --documents line --out {kind} chinese.txt"), &[]);
        let prepared = Prepared::open(shop.path(kind)).unwrap();
        let documents = prepared.split(Split::Train).clone();
        let packing = Packing::whole(documents, prepared.specials(), 128).unwrap();
        let masking = Masking { rate: 0.15, whole_word: true, ..Default::default() };
        let masker = Masker::new(masking, prepared.specials(), prepared.vocab_size()).unwrap();
        let mut loader = Loader::new(Arc::new(MaskedSequences { packing, masker }), 8, 1, 0).unwrap();
        let [mut masked, mut all] = [[0.0; 3]; 2];
        for _ in 0..100 {
            let batch = loader.next().unwrap();
            let rows = batch.spans.iter().zip(&batch.positions).zip(&batch.inverse);
            for ((span, &position), &place) in rows.filter(|((span, _), _)| span[1] - span[0] > 6) {
                let third = 3 * position / (span[1] - span[0]);
                all[third as usize] += 1.0;
                masked[third as usize] += f64::from(u8::from(place != cloze::data::NONE));
            }
        }
        let rates = [0, 1, 2].map(|third| masked[third] / all[third]);
        assert!(rates.iter().all(|rate| (0.11..0.20).contains(rate)), "{kind}: {rates:?}");
    }
}

#[test]
fn a_pseudo_likelihood_counts_words() {
    let shop = Workshop::new();
    let text = chinese();
    let few: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    shop.write("text.txt", text);
    shop.write("few.txt", few);
    shop.done("train run.toml --device cpu --out run --set tokenizer.kind=unigram --set train.steps=2", &[]);
    let result = shop.done("eval run few.txt --documents line --device cpu --pll --json", &[]).json();
    // Pieces may span two words or more; lines, of which there are four, are none.
    let (words, tokens) = (result["words"].as_u64().unwrap(), result["tokens"].as_u64().unwrap());
    assert!(words > 20 && words <= tokens, "{words} words of {tokens} tokens");
}
