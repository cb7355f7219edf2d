//! `cloze fill-mask` of lines on standard input.

use crate::workshop::{Outcome, Workshop, outcome};
use cloze::checkpoint::SavedModel;
use cloze::device::Device;
use cloze::tasks::Filler;

fn fill(shop: &Workshop, input: impl Into<Vec<u8>>) -> Outcome {
    let mut command = shop.command();
    outcome(command.args("fill-mask runs/run --device cpu --top-k 1 --json".split(' ')).write_stdin(input.into()))
}

fn shop() -> Workshop {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set train.steps=1", &[]);
    shop
}

#[test]
fn a_line_that_cannot_be_filled_holds_up_no_other() {
    let shop = shop();
    let sound = fill(&shop, "It was [MASK] .\n\nAnd he [MASK] .\n");
    assert_eq!((sound.code, sound.stdout.lines().count()), (0, 2), "{}", sound.stderr);

    let long = "[MASK] ".repeat(600);
    let input = format!("It was [MASK] .\nno mask here\n{long}\n\nAnd he [MASK] .\n");
    let filled = fill(&shop, input);
    assert_eq!((filled.code, &filled.stdout), (1, &sound.stdout));
    for words in [
        "line 2 of standard input: the text has no mask; write [MASK]",
        "line 3 of standard input: the text has more than the 512 tokens",
        "error: 2 of 4 lines of standard input were not filled",
    ] {
        assert!(filled.stderr.contains(words), "{}", filled.stderr);
    }

    let latin = fill(&shop, b"It was [MASK] \xff\n".as_slice());
    assert_eq!((latin.code, latin.stdout.lines().count()), (0, 1));
    assert!(latin.stderr.contains("1 byte sequences that are not UTF-8"), "{}", latin.stderr);
}

/// A line that is longer than the limit is refused, so that memory stays bounded.
#[test]
fn a_line_without_end_is_refused() {
    let shop = shop();
    let filled = fill(&shop, "a ".repeat(10 << 20));
    assert_eq!(filled.code, 1);
    assert!(filled.stderr.contains("standard input: line 1: longer than 16 MiB"), "{}", filled.stderr);
}

#[test]
fn guesses_do_not_depend_on_the_texts_before() {
    let shop = shop();
    let model = SavedModel::open(&shop.path("runs/run")).unwrap();
    let specials = model.tokenizer.specials();
    // These are more shapes than the filler keeps, and each comes twice.
    let texts: Vec<Vec<u32>> = (1..=9).map(|number| vec![specials.mask; number * number]).collect();
    let mut kept = Filler::new(&model.config, &Device::Cpu, model.values());
    for round in 0..2 {
        for text in &texts {
            for masks in [1, text.len().div_ceil(2), text.len()] {
                let masked: Vec<u32> = (0..masks as u32).collect();
                let mut fresh = Filler::new(&model.config, &Device::Cpu, model.values());
                let want = fresh.guess(text, &masked, specials.pad, 3).unwrap();
                let found = kept.guess(text, &masked, specials.pad, 3).unwrap();
                assert_eq!(found, want, "round {round}, {masks} masks of {}", text.len());
            }
        }
    }
}
