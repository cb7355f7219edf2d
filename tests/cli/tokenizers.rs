//! Tokenizers as `cloze tokenizer` learns them.

use crate::workshop::Workshop;
use cloze::data::Tokenizer;

const KINDS: [&str; 3] = ["wordpiece", "bpe", "unigram"];

impl Workshop {
    /// Learns a tokenizer from `text`, with more arguments, and returns it and what the command printed.
    fn learn(&self, text: &str, more: &str) -> (Tokenizer, String) {
        self.write("learn.txt", text);
        let outcome = self.done(&format!("tokenizer --out learnt.json learn.txt {more}"), &[]);
        (Tokenizer::load(self.path("learnt.json")).unwrap(), outcome.stderr)
    }
}

/// The ids of a text alone.
fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, false).unwrap()
}

#[test]
fn a_mask_stands_for_a_word_with_the_space_before_it() {
    let shop = Workshop::new();
    let text = shop.text("text.txt");
    for kind in KINDS {
        let (tokenizer, _) = shop.learn(&text, &format!("--kind {kind} --vocab-size 600"));
        let mask = tokenizer.specials().mask;
        for (before, word, after) in
            [("he is", " pleased", " with it"), ("", "She", " is pleased"), ("she came, he", " came", "")]
        {
            let start = ids(&tokenizer, before).len();
            let end = ids(&tokenizer, &[before, word].concat()).len();
            let mut expected = ids(&tokenizer, &[before, word, after].concat());
            expected.splice(start..end, [mask]);
            let masked = [before, &word.replace(word.trim(), "[MASK]"), after].concat();
            assert_eq!(ids(&tokenizer, &masked), expected, "{kind}: {masked}");
        }
        // What follows the mask directly begins no word.
        let after = ids(&tokenizer, "he is [MASK], she")[2..4].to_vec();
        assert_eq!(after, [mask, tokenizer.id(",").unwrap()], "{kind}");
    }
}

#[test]
fn scripts_keep_their_marks() {
    let shop = Workshop::new();
    // Hindi vowel signs, Japanese voicing in both Unicode forms, Korean, Persian and Hindi joiners, and an emoji's joiner.
    let words =
        ["में", "पुस्तक", "हँसी", "क्‍ष", "がっこう", "パン", "バン", "ハン", "학교에", "می\u{200C}روم", "กินที่", "שָׁלוֹם", "≠"];
    let decomposed = "か\u{3099}っこう";
    let (tokenizer, _) = shop.learn(&words.join(" ").repeat(30), "--vocab-size 600");
    let spelled = |text: &str| tokenizer.decode(&ids(&tokenizer, text), false).unwrap().replace(' ', "");
    for word in words {
        assert_eq!(spelled(word), word);
    }
    assert_eq!(ids(&tokenizer, decomposed), ids(&tokenizer, "がっこう"));
}

#[test]
fn case_and_accents_are_two_settings() {
    let shop = Workshop::new();
    let text = "Élan Čapek Ёлка Ώρα पुस्तक naïve ".repeat(30);
    for (more, expected) in [
        ("", "elancapekелкаωραपुस्तकnaive"),
        ("--cased", "ÉlanČapekЁлкаΏραपुस्तकnaïve"),
        ("--strip-accents false", "élančapekёлкаώραपुस्तकnaïve"),
        ("--cased --strip-accents true", "ElanCapekЕлкаΩραपुस्तकnaive"),
        ("--kind unigram --strip-accents true", "elancapekелкаωραपुस्तकnaive"),
        ("--kind bpe --cased --strip-accents true", "ElanCapekЕлкаΩραपुस्तकnaive"),
    ] {
        let (tokenizer, _) = shop.learn(&text, &format!("--vocab-size 400 {more}"));
        let spelled = tokenizer.decode(&ids(&tokenizer, text.trim()), false).unwrap().replace(' ', "");
        assert!(spelled.starts_with(expected), "{more}: {spelled}");
    }
}

/// Lines of 1500 different Chinese characters; the later ones are rarer.
fn chinese() -> String {
    let character = |at: u32| char::from_u32(0x4E00 + 3 * at).unwrap();
    let line = |number: u32| (0..1500).filter(|at| number * at < 3000).map(character).collect::<String>();
    (1..=40).map(|number| line(number) + "\n").collect()
}

#[test]
fn every_character_has_a_token_where_there_is_room() {
    let shop = Workshop::new();
    let text = chinese();
    for kind in KINDS {
        let (tokenizer, said) = shop.learn(&text, &format!("--kind {kind} --vocab-size 4000"));
        assert!(!ids(&tokenizer, text.lines().next().unwrap()).contains(&tokenizer.specials().unk), "{kind}");
        assert!(!said.contains("unknown"), "{kind}: {said}");
    }
    let (_, said) = shop.learn(&text, "--vocab-size 1000");
    assert!(said.contains("505 of 1500 characters") && said.contains("a vocab_size of 1505 has room"), "{said}");
    let (_, said) = shop.learn(&text, "--vocab-size 4000 --character-coverage 0.9");
    assert!(said.contains(" of 1500 characters, ") && said.contains("as character_coverage asks"), "{said}");
    assert!(said.contains("% of the tokens of the text that the tokenizer was learnt from are unknown"), "{said}");
}

#[test]
fn unigram_says_how_many_tokens_it_needs() {
    let shop = Workshop::new();
    shop.write("zh.txt", chinese());
    let refused = shop.run("tokenizer --kind unigram --vocab-size 1000 zh.txt", &[]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("unigram needs at least 1507 tokens"), "{}", refused.stderr);
    let (tokenizer, _) = shop.learn(&chinese(), "--kind unigram --vocab-size 1507");
    assert_eq!(tokenizer.vocab_size(), 1507);
    let at_most = refused.stderr.split("at most ").nth(1).unwrap().trim();
    let more = format!("--kind unigram --vocab-size 1000 --character-coverage {at_most}");
    assert!(shop.learn(&chinese(), &more).0.vocab_size() <= 1000);
}

#[test]
fn text_that_a_tokenizer_cannot_spell_is_a_warning() {
    let shop = Workshop::new();
    let thai = ("ภาษาไทยไม่มีช่องว่างระหว่างคำ".repeat(6) + "\n").repeat(20);
    let (_, said) = shop.learn(&thai, "--vocab-size 400");
    assert!(said.contains("100.0 % of the tokens") && said.contains("words of more than 100 characters"), "{said}");
    let (_, said) = shop.learn(&thai, "--kind unigram --vocab-size 400");
    assert!(!said.contains("unknown"), "{said}");
}

#[test]
fn the_keys_of_a_config() {
    let shop = Workshop::new();
    shop.write("text.txt", chinese());
    let train = "train run.toml --device cpu --set train.steps=1 --set tokenizer.vocab_size=1000";
    let few = shop.done(&format!("{train} --set tokenizer.character_coverage=0.5 --out few"), &[]);
    assert!(few.stderr.contains("as character_coverage asks"), "{}", few.stderr);
    assert!(shop.text("few/config.toml").contains("strip_accents = true"));
    for (key, said) in [
        ("tokenizer.character_coverage=0", "must be above 0 and at most 1"),
        ("tokenizer.character_coverage=0.9 --set tokenizer.kind=bpe", "leave it out"),
    ] {
        let refused = shop.run(&format!("train run.toml --plan --set {key}"), &[]);
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains("tokenizer.character_coverage: is 0"), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}

#[test]
fn a_run_of_a_version_with_fewer_keys_goes_on() {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set train.steps=4 --out run", &[]);
    let newer = |line: &&str| !line.starts_with("strip_accents") && !line.starts_with("character_coverage");
    let settings = shop.text("run/data.settings");
    let older: Vec<&str> = settings.lines().filter(newer).collect();
    assert_eq!(older.len() + 2, settings.lines().count(), "{settings}");
    shop.write("run/data.settings", older.join("\n"));
    shop.done("train run.toml --device cpu --set train.steps=8 --out run --resume", &[]);
}
