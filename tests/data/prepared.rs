use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cloze::Remedy;
use cloze::data::{
    CorpusOptions, DocumentSplit, Documents, Encoded, Packing, PrepareOptions, Prepared, Sequence, Split,
    TokenizerKind, Tokens, Validation, prepare,
};

use crate::{prose, tokenizer};

const DOCUMENTS: usize = 150;

fn document(number: usize) -> String {
    prose(number as u64, 1 + number % 7).trim_end().replace('\n', " ")
}

/// A folder with `text.txt`, in which each line is a document.
fn corpus() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let text: Vec<String> = (0..DOCUMENTS).map(document).collect();
    let path = folder.path().join("text.txt");
    fs::write(&path, text.join("\n")).unwrap();
    (folder, path)
}

fn options() -> PrepareOptions {
    PrepareOptions {
        corpus: CorpusOptions { split: DocumentSplit::Line, ..CorpusOptions::default() },
        validation: Validation::Fraction(0.1),
        shard_tokens: 500,
        ..PrepareOptions::default()
    }
}

fn read(tokens: &Tokens) -> Vec<Encoded> {
    let document = |index| {
        let mut document = Encoded::default();
        let all = 0..tokens.document_tokens(index).unwrap();
        tokens.read(index, all, &mut document.ids, &mut document.word_starts).unwrap();
        document
    };
    (0..tokens.documents()).map(document).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn text_to_shards_to_sequences_and_back() {
    for kind in [TokenizerKind::WordPiece, TokenizerKind::Bpe, TokenizerKind::Unigram] {
        let tokenizer = tokenizer(kind);
        let (folder, path) = corpus();
        let out = folder.path().join("data");
        let manifest = prepare(&tokenizer, &[path], &options(), &out).unwrap();
        assert!(manifest.train.shards.len() > 3);
        assert_eq!(manifest.report.documents, DOCUMENTS as u64);

        let prepared = Prepared::open(&out).unwrap();
        assert_eq!(prepared.manifest(), &manifest);
        assert_eq!(prepared.tokenizer().json(), tokenizer.json());
        let [train, validation] = [Split::Train, Split::Validation].map(|split| prepared.split(split));
        assert_eq!(validation.documents(), DOCUMENTS / 10);

        // The two parts together have all documents, each in its place.
        let (mut train_documents, mut held_out) =
            (read(train).into_iter().peekable(), read(validation).into_iter().peekable());
        for number in 0..DOCUMENTS {
            let expected = tokenizer.encode_with_word_starts(&document(number)).unwrap();
            let found = train_documents.next_if_eq(&expected).or_else(|| held_out.next_if_eq(&expected));
            assert!(found.is_some(), "{kind:?}: document {number} is not where it belongs");
        }
        assert!(train_documents.next().is_none() && held_out.next().is_none());

        let ids: Vec<u32> = read(train).into_iter().flat_map(|document| document.ids).collect();
        let mut counts = vec![0; prepared.vocab_size()];
        ids.iter().for_each(|id| counts[*id as usize] += 1);
        assert_eq!(prepared.unigram(), counts);
        assert_eq!(train.tokens(), ids.len() as u64);

        let packing = Packing::new(train.clone(), prepared.specials(), 64).unwrap();
        let mut sequence = Sequence::default();
        let mut packed = Vec::new();
        for index in 0..packing.len() {
            packing.sequence(index, &mut sequence).unwrap();
            packed.extend(sequence.ids.iter().copied().filter(|id| !prepared.specials().ids()[..3].contains(id)));
        }
        assert_eq!(packed, ids);
    }
}

#[test]
fn few_documents_are_represented_in_both_parts() {
    let folder = tempfile::tempdir().unwrap();
    let inputs: Vec<PathBuf> = (0..3).map(|number| folder.path().join(format!("{number}.txt"))).collect();
    inputs.iter().enumerate().for_each(|(number, path)| fs::write(path, prose(number as u64, 100)).unwrap());
    let out = folder.path().join("data");
    let manifest = prepare(&tokenizer(TokenizerKind::WordPiece), &inputs, &PrepareOptions::default(), &out).unwrap();
    assert_eq!((manifest.train.documents, manifest.validation.documents), (3, 3));
    let share = manifest.validation.tokens as f64 / (manifest.train.tokens + manifest.validation.tokens) as f64;
    assert!((0.01..0.02).contains(&share), "{share}");
}

/// More documents than are buffered until it is clear whether there are few, but so few that none is held out.
#[test]
fn ends_of_documents_are_held_out_where_none_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.txt");
    let line = ["taro min sel ka"; 20].join(" ");
    fs::write(&path, format!("{line}\n").repeat(1100)).unwrap();
    let tokens = 1100 * tokenizer(TokenizerKind::Bpe).encode(&line, false).unwrap().len() as u64;
    let options = PrepareOptions { validation: Validation::Fraction(0.0001), ..options() };
    let out = folder.path().join("data");
    let manifest = prepare(&tokenizer(TokenizerKind::Bpe), &[path], &options, &out).unwrap();
    assert_eq!(manifest.train.tokens + manifest.validation.tokens, tokens);
    let expected = tokens as f64 * 0.0001;
    assert!((expected - 1.0..expected + 3.0).contains(&(manifest.validation.tokens as f64)), "{manifest:?}");
    let prepared = Prepared::open(&out).unwrap();
    assert_eq!(prepared.unigram().iter().sum::<u64>(), manifest.train.tokens);
    assert!(names(&out).iter().all(|name| name != "undivided"));
}

#[test]
fn a_text_of_one_word_is_cut_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("word.txt");
    fs::write(&path, "tarominsel").unwrap();
    let options = PrepareOptions { validation: Validation::Fraction(0.1), ..PrepareOptions::default() };
    let manifest =
        prepare(&tokenizer(TokenizerKind::WordPiece), &[path], &options, &folder.path().join("data")).unwrap();
    assert!(manifest.train.tokens >= 1 && manifest.validation.tokens >= 1, "{manifest:?}");
}

/// The problem is found before the training text is tokenised.
#[test]
fn validation_files_without_text_are_refused_first() {
    let (folder, path) = corpus();
    let [valid, damaged] = ["valid.txt", "damaged.txt.gz"].map(|name| folder.path().join(name));
    fs::write(&valid, "\u{200e}\n").unwrap();
    fs::write(&damaged, "no gzip").unwrap();
    let options = PrepareOptions { validation: Validation::Files(vec![valid]), ..options() };
    let inputs = [path, damaged];
    let error = prepare(&tokenizer(TokenizerKind::WordPiece), &inputs, &options, &folder.path().join("data"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no text for the validation part"), "{error}");
}

#[test]
fn validation_files_are_used_as_they_are() {
    let (folder, path) = corpus();
    let valid = folder.path().join("valid.txt");
    fs::write(&valid, "taro min\nsel ka\n").unwrap();
    let options = PrepareOptions { validation: Validation::Files(vec![valid]), ..options() };
    let manifest = prepare(&tokenizer(TokenizerKind::Bpe), &[path], &options, &folder.path().join("data")).unwrap();
    assert_eq!((manifest.train.documents, manifest.validation.documents), (DOCUMENTS as u64, 2));
    assert_eq!(manifest.report.files, 2);
}

#[test]
fn every_damage_is_found_and_its_file_named() {
    let (folder, path) = corpus();
    let out = folder.path().join("data");
    let manifest = prepare(&tokenizer(TokenizerKind::WordPiece), &[path], &options(), &out).unwrap();
    let shard = manifest.train.shards[0].clone();
    let check = |name: &str, content: &[u8]| {
        let path = out.join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let error = Prepared::open(&out).err().unwrap_or_else(|| panic!("a damaged {name} went unnoticed"));
        assert!(error.to_string().contains(name), "{error}");
        fs::write(&path, whole).unwrap();
    };

    let whole = fs::read(out.join(&shard.file)).unwrap();
    let offsets = 64;
    let starts = offsets + 8 * (shard.documents as usize + 1);
    let tokens = starts + 8 * (shard.tokens as usize).div_ceil(64);
    for at in [0, 8, 12, 16, 24, 40, offsets + 9, starts + 1, tokens, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        check(&shard.file, &damaged);
    }
    for length in [0, 63, 64, starts, whole.len() - 1] {
        check(&shard.file, &whole[..length]);
    }
    check("unigram.bin", &fs::read(out.join("unigram.bin")).unwrap()[8..]);
    check("tokenizer.json", b"{}");
    check("manifest.json", b"{\"format\":");
    fs::remove_file(out.join("train-00001.bin")).unwrap();
    let missing = Prepared::open(&out).err().expect("a missing shard went unnoticed");
    assert!(missing.to_string().contains("train-00001.bin"), "{missing}");
    assert_eq!(missing.remedy(), Some(Remedy::PrepareAgain));
}

/// Checksums can't reveal contents that were already wrong when they were taken.
#[test]
fn numbers_that_contradict_each_other_are_found() {
    let (folder, path) = corpus();
    let out = folder.path().join("data");
    let manifest = prepare(&tokenizer(TokenizerKind::WordPiece), &[path], &options(), &out).unwrap();
    let shard = &manifest.train.shards[0];
    let whole = fs::read(out.join(&shard.file)).unwrap();
    let json = fs::read_to_string(out.join("manifest.json")).unwrap();
    let huge = (u64::MAX / 2).to_le_bytes();
    for (at, bytes) in [(16, huge), (24, huge), (64, huge), (72, huge), (whole.len() - 8, [0xFF; 8])] {
        let mut forged = whole.clone();
        forged[at..at + 8].copy_from_slice(&bytes);
        fs::write(out.join(&shard.file), &forged).unwrap();
        let json = json.replace(&shard.blake3, blake3::hash(&forged).to_hex().as_str());
        fs::write(out.join("manifest.json"), json).unwrap();
        let error = Prepared::open(&out).err().expect("a forged shard went unnoticed");
        assert!(error.to_string().contains("train-00000.bin"), "{error}");
        assert_eq!(error.remedy(), Some(Remedy::PrepareAgain));
    }
    for (from, to) in [("\"train-00000.bin\"", "\"../train.bin\""), ("\"vocab_size\": ", "\"vocab_size\": 9")] {
        fs::write(out.join("manifest.json"), json.replacen(from, to, 1)).unwrap();
        let error = Prepared::open(&out).err().expect("a forged manifest went unnoticed").to_string();
        assert!(error.contains("manifest.json"), "{error}");
    }
}

#[test]
fn a_prepare_that_fails_leaves_nothing() {
    let (folder, path) = corpus();
    let tokenizer = tokenizer(TokenizerKind::WordPiece);
    let out = folder.path().join("data");
    let fails = |inputs: &[PathBuf], options: &PrepareOptions| {
        let before = names(folder.path());
        let error = prepare(&tokenizer, inputs, options, &out).expect_err("it should fail");
        assert_eq!(names(folder.path()), before, "{error}");
        error
    };

    let stopped = PrepareOptions { stop: Arc::new(AtomicBool::new(true)), ..options() };
    assert!(fails(slice::from_ref(&path), &stopped).to_string().contains("stopped"));
    let empty = folder.path().join("empty.txt");
    fs::write(&empty, "").unwrap();
    assert!(fails(slice::from_ref(&empty), &options()).to_string().contains("empty.txt"));
    let one = folder.path().join("one.txt");
    fs::write(&one, ".").unwrap();
    let word = PrepareOptions { corpus: CorpusOptions::default(), ..options() };
    assert_eq!(fails(&[one], &word).remedy(), Some(Remedy::HoldOut));
    let all = PrepareOptions { validation: Validation::Fraction(1.0), ..options() };
    assert!(fails(slice::from_ref(&path), &all).to_string().contains("at most 0.5"));

    // What was there before survives as well.
    prepare(&tokenizer, slice::from_ref(&path), &options(), &out).unwrap();
    let replacing = PrepareOptions { overwrite: true, ..stopped };
    fails(slice::from_ref(&path), &replacing);
    Prepared::open(&out).unwrap();
}

/// The state after a process was killed while it replaced old data with new.
#[test]
fn data_that_was_moved_away_is_put_back() {
    let (folder, path) = corpus();
    let out = folder.path().join("data");
    prepare(&tokenizer(TokenizerKind::WordPiece), &[path], &options(), &out).unwrap();
    fs::rename(&out, folder.path().join(".data.replaced")).unwrap();
    Prepared::open(&out).unwrap();
    assert_eq!(names(folder.path()), ["data", "text.txt"]);
}

#[test]
fn a_shard_cut_short_while_it_is_read_is_an_error() {
    let (folder, path) = corpus();
    let out = folder.path().join("data");
    prepare(&tokenizer(TokenizerKind::WordPiece), &[path], &options(), &out).unwrap();
    let prepared = Prepared::open(&out).unwrap();
    let packing = Packing::new(prepared.split(Split::Train).clone(), prepared.specials(), 64).unwrap();
    let shard = fs::OpenOptions::new().write(true).open(out.join("train-00000.bin")).unwrap();
    shard.set_len(64).unwrap();
    let error = packing.sequence(0, &mut Sequence::default()).unwrap_err().to_string();
    assert!(error.contains("train-00000.bin") && error.contains("cut short"), "{error}");
}

#[test]
fn only_prepared_data_is_replaced_and_only_when_asked() {
    let (folder, path) = corpus();
    let tokenizer = tokenizer(TokenizerKind::WordPiece);
    let out = folder.path().join("data");
    fs::create_dir(&out).unwrap();
    let run = |options: &PrepareOptions| prepare(&tokenizer, slice::from_ref(&path), options, &out);
    run(&options()).unwrap();
    assert_eq!(run(&options()).unwrap_err().remedy(), Some(Remedy::Overwrite));

    let fewer = PrepareOptions { shard_tokens: 1 << 20, overwrite: true, ..options() };
    run(&fewer).unwrap();
    assert_eq!(
        names(&out),
        ["manifest.json", "tokenizer.json", "train-00000.bin", "unigram.bin", "validation-00000.bin"]
    );
    Prepared::open(&out).unwrap();
    assert_eq!(names(folder.path()), ["data", "text.txt"]);

    fs::write(out.join("thesis.doc"), "years of work").unwrap();
    assert!(run(&fewer).unwrap_err().to_string().contains("thesis.doc"));
    assert!(out.join("thesis.doc").exists());
    assert!(Prepared::open(folder.path()).err().unwrap().to_string().contains("not a prepared folder"));
}
