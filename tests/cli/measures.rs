//! Checks what `eval` measures by computing it in another way.

use crate::workshop::Workshop;
use cloze::checkpoint::SavedModel;
use cloze::data::{Masking, validation_batches};
use cloze::device::Device;
use cloze::tasks::{self, Filler, MaskedLm, Task, Text};
use cloze::train::evaluate::Evaluator;
use cloze::train::trainer::VALIDATION_SEED;
use std::sync::Arc;

/// However a model was trained, its evaluation masks 15 % of the tokens: 80 % of these by [MASK], 10 % by random tokens.
#[test]
fn the_masks_of_an_evaluation_are_the_same_for_all_models() {
    let shop = Workshop::new();
    let sets = "--set masking.rate=0.4 --set masking.mask=1.0 --set masking.random=0.0 --set masking.keep=0.0";
    shop.done(&format!("train run.toml --device cpu {sets} --set masking.whole_word=true"), &[]);

    let model = SavedModel::open(&shop.path("runs/run")).unwrap();
    let text = shop.text("text.txt");
    let documents: Vec<_> = text.lines().map(|line| model.tokenizer.encode_with_word_starts(line).unwrap()).collect();
    let masking = Masking { rate: 0.15, mask: 0.8, random: 0.1, keep: 0.1, whole_word: false };
    let task = MaskedLm { config: model.config.clone(), masking };
    let documents = Arc::new(documents);
    let (specials, vocab_size) = (model.tokenizer.specials(), model.config.vocab_size);
    let text = Text { documents: documents.clone(), others: documents, specials, vocab_size };
    let examples = task.examples(&text, 32).unwrap();
    let shape = tasks::shape(&task, 32, 32);
    assert_eq!(shape.selected, 32 * 5);
    let evaluation = tasks::evaluation(&task, shape, u64::MAX).unwrap();
    let mut executor = evaluation.start(&Device::Cpu, &model.config, model.values()).unwrap();
    let evaluator = Evaluator::of(&evaluation);
    for (limit, more) in [(None, ""), (Some(40), " --max-sequences 40")] {
        let line = format!("eval runs/run text.txt --documents line --device cpu --json{more}");
        let result = shop.done(&line, &[]).json();
        let number = |key: &str| result[key].as_f64().unwrap();
        let batches = validation_batches(&*examples, 32, VALIDATION_SEED, limit).unwrap();
        let expected =
            evaluator.measure(&mut *executor, batches, &model.unigram).unwrap().means(task.losses()).unwrap();
        assert_eq!((number("cross_entropy"), number("accuracy")), (expected.cross_entropy, expected.accuracy));
        assert_eq!(number("masked_tokens"), expected.masked_tokens as f64);
        assert!(limit.is_none_or(|limit| (180..=5 * limit as u64).contains(&expected.masked_tokens)), "{expected:?}");
    }
}

/// Guesses each token of each word by `Filler`, with that token and the rest of its word masked.
#[test]
fn pseudo_log_likelihood_by_hand() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set model.recipe=bert", &[]);
    let sentences = ["unquestionable gratitude", "yes", "the acknowledgment was unfavourable"];
    shop.write("sentences.txt", sentences.join("\n"));
    let line = "eval runs/run sentences.txt --documents line --device cpu --pll";
    let result = shop.done(&format!("{line} --json"), &[]).json();

    let model = SavedModel::open(&shop.path("runs/run")).unwrap();
    let specials = model.tokenizer.specials();
    let mut filler = Filler::new(&model.config, &Device::Cpu, model.values());
    let (mut total, mut tokens) = (0.0, 0);
    for sentence in sentences {
        let encoded = sentence.split(' ').map(|word| model.tokenizer.encode(word, false).unwrap());
        let words: Vec<Vec<u32>> = encoded.collect();
        assert!(
            sentence == "yes" || words.iter().any(|word| word.len() > 2),
            "{words:?} are no words of several tokens"
        );
        let ids = [vec![specials.cls], words.concat(), vec![specials.sep]].concat();
        assert_eq!(ids, model.tokenizer.encode(sentence, true).unwrap());
        let mut start = 1;
        for word in &words {
            let end = start + word.len();
            for position in start..end {
                let mut seen = ids.clone();
                seen[position..end].fill(specials.mask);
                let guesses = filler.guess(&seen, &[position as u32], specials.pad, usize::MAX).unwrap();
                let own = guesses[0].iter().find(|guess| guess.token == ids[position]).unwrap();
                total += f64::from(own.score).ln();
                tokens += 1;
            }
            start = end;
        }
    }
    let number = |key: &str| result[key].as_f64().unwrap();
    assert_eq!((number("words"), number("tokens")), (7.0, f64::from(tokens)));
    let close = |key: &str, expected: f64| {
        assert!(
            (number(key) - expected).abs() < 1e-4 * expected.abs(),
            "{key}: {} in place of {expected}",
            number(key)
        );
    };
    close("pseudo_log_likelihood", total);
    close("pll_per_word", total / 7.0);
    close("pll_per_token", total / f64::from(tokens));
    close("pseudo_perplexity", (-total / f64::from(tokens)).exp());

    // Documents that share a sequence don't see each other, and neither the batch nor the length changes a score.
    for more in ["--batch-size 1", "--sequence-length 64 --batch-size 5"] {
        let other = shop.done(&format!("{line} --json {more}"), &[]).json();
        close("pseudo_log_likelihood", other["pseudo_log_likelihood"].as_f64().unwrap());
        assert_eq!(other["tokens"], result["tokens"]);
    }
    let text = shop.done(line, &[]).stdout;
    assert!(text.contains(&format!("words, tokens          7, {tokens}\n")), "{text}");
}
